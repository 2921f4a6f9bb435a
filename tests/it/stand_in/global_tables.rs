//! DynamoDB's global tables of the version of 2017.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Answer, Refusal, TIME, text};

const MISSING: Refusal = ("GlobalTableNotFoundException", "there is no such global table");
const NO_TABLE: Refusal =
    ("TableNotFoundException", "a replica's region has no table of that name with a stream of new and old images");

/// Regions of replicas, by the name of the global table.
#[derive(Default)]
pub(super) struct GlobalTables(BTreeMap<String, BTreeSet<String>>);

impl GlobalTables {
    /// The answer, if the operation is about them. `has_table`: whether a region has a table of a name that can be a replica.
    pub(super) fn answer(
        &mut self,
        account: &str,
        operation: &str,
        input: &Value,
        has_table: impl Fn(&str, &str) -> bool,
    ) -> Option<Answer> {
        let name = text(&input["GlobalTableName"]);
        Some(match operation {
            "CreateGlobalTable" => self.create(name, &input["ReplicationGroup"], has_table).map(|replicas| {
                // It is active at the next look.
                json!({"GlobalTableDescription": description(account, name, replicas, "CREATING")})
            }),
            "DescribeGlobalTable" => self
                .0
                .get(name)
                .ok_or(MISSING)
                .map(|replicas| json!({"GlobalTableDescription": description(account, name, replicas, "ACTIVE")})),
            "UpdateGlobalTable" => self
                .update(name, &input["ReplicaUpdates"], has_table)
                .map(|replicas| json!({"GlobalTableDescription": description(account, name, &replicas, "UPDATING")})),
            "ListGlobalTables" => {
                let one = |(name, replicas): (&String, &BTreeSet<String>)| {
                    let replicas: Vec<Value> = replicas.iter().map(|region| json!({"RegionName": region})).collect();
                    json!({"GlobalTableName": name, "ReplicationGroup": replicas})
                };
                Ok(json!({"GlobalTables": self.0.iter().map(one).collect::<Vec<_>>()}))
            }
            _ => return None,
        })
    }

    fn create(
        &mut self,
        name: &str,
        group: &Value,
        has_table: impl Fn(&str, &str) -> bool,
    ) -> Result<&BTreeSet<String>, Refusal> {
        if self.0.contains_key(name) {
            return Err(("GlobalTableAlreadyExistsException", "there is such a global table"));
        }
        let replicas: BTreeSet<String> = regions(group.as_array().into_iter().flatten()).collect();
        if !replicas.iter().all(|region| has_table(region, name)) {
            return Err(NO_TABLE);
        }
        Ok(self.0.entry(name.to_owned()).or_insert(replicas))
    }

    /// With its last replica it ends.
    fn update(
        &mut self,
        name: &str,
        updates: &Value,
        has_table: impl Fn(&str, &str) -> bool,
    ) -> Result<BTreeSet<String>, Refusal> {
        let mut replicas = self.0.get(name).ok_or(MISSING)?.clone();
        let updates = updates.as_array().map_or(&[][..], Vec::as_slice);
        for region in regions(updates.iter().map(|update| &update["Create"])) {
            if !has_table(&region, name) {
                return Err(NO_TABLE);
            }
            if !replicas.insert(region) {
                return Err(("ReplicaAlreadyExistsException", "there is such a replica"));
            }
        }
        for region in regions(updates.iter().map(|update| &update["Delete"])) {
            if !replicas.remove(&region) {
                return Err(("ReplicaNotFoundException", "there is no such replica"));
            }
        }
        if replicas.is_empty() {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), replicas.clone());
        }
        Ok(replicas)
    }
}

fn regions<'a>(replicas: impl Iterator<Item = &'a Value>) -> impl Iterator<Item = String> {
    replicas.filter_map(|replica| replica["RegionName"].as_str().map(str::to_owned))
}

fn description(account: &str, name: &str, replicas: &BTreeSet<String>, status: &str) -> Value {
    let replica = |region: &String| json!({"RegionName": region, "ReplicaStatus": "ACTIVE"});
    json!({
        "GlobalTableName": name,
        "GlobalTableArn": format!("arn:aws:dynamodb::{account}:global-table/{name}"),
        "GlobalTableStatus": status,
        "CreationDateTime": TIME,
        "ReplicationGroup": replicas.iter().map(replica).collect::<Vec<_>>(),
    })
}
