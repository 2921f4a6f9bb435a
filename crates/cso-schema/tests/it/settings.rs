//! Settings with switches and words, and elements inside structures: what they compile to, and each rule broken once.

use cso_schema::kind::Shape;

use crate::toy::Toy;

const API: &str = "\
service toy
api-version 1
service-id Toy
protocol json-1.0
endpoint-prefix toy
signing-name toy

operation CreateTable POST / input=CreateRequest
operation DeleteTable POST / input=NameRequest
operation GetTable POST / input=NameRequest output=Table
operation UpdateTable POST / input=UpdateRequest

shape Action structure
  Name Text
  Size Int
shape Change structure
  Create Index
  Update Action
  Delete Action
shape Changes list
  member Change
shape Column structure
  Name Text
  Type Text
shape Columns list
  member Column
shape CreateRequest structure
  Name Text required
  Columns Columns
shape Flag boolean
shape Index structure
  Name Text
  Keys Texts
  Size Int
shape Indexes list
  member Index
shape Int integer
shape Life structure
  Enabled Flag
  Field Text
shape LifeAnswer structure
  Status Status
  Field Text
shape NameRequest structure
  Name Text required
shape Status string
  = ON
  = OFF
shape Table structure
  Name Text
  Columns Columns
  Indexes Indexes
  Life LifeAnswer
shape Text string
shape Texts list
  member Text
shape UpdateRequest structure
  Name Text required
  Columns Columns
  Life Life
  Changes Changes
";

const SURFACE: &str = "\
surface toy.services.k8s.aws v1 Table list=TableList plural=tables singular=table
  spec object
    columns array
      [] object
        name string
        type string
    indexes array
      [] object
        keys array
          [] string
        name string
        size integer
    life object
      enabled boolean
      field string
    name string required
  status object
";

const GOOD: &str = "\
service: toy
kinds:
  Table:
    api: {create: CreateTable, read: GetTable, update: none, delete: DeleteTable}
    identity: {name: spec.name}
    fields:
      name: create-only
      columns: {role: create-only, shared: name}
      life:
        off: enabled
        restart: true
        when: {spec.name: [unset]}
        members: {enabled: {seen: Status, enum: {ON: true, OFF: false}}}
      indexes: {nested: {keys: set}}
    parts:
      life: {config: {put: UpdateTable}, field: life}
      indexes:
        table:
          add: {op: UpdateTable, in: {Changes: [{Create: item}]}}
          change: {op: UpdateTable, in: {Changes: [{Update: item}]}}
          remove: {op: UpdateTable, in: {Changes: [{Delete: {Name: item.name}}]}}
        field: indexes
        key: name
        with: [columns]
        skip: {name: region}
";

#[test]
fn what_a_change_cannot_carry_is_fixed() {
    let kinds = Toy::new(API, SURFACE).compiled(GOOD).unwrap();
    let Shape::Table(table) = &kinds[0].parts[1].shape else { panic!("a table") };
    assert_eq!(table.fixed, ["keys"]);
    assert!(table.add.is_for_one() && table.remove.is_for_one());
    let carried: Vec<&str> = table.add.carries.iter().map(|carried| carried.field.as_str()).collect();
    assert_eq!(carried, ["columns"]);
    assert!(table.remove.carries.is_empty());
}

#[test]
fn each_rule_is_checked() {
    let cases = [
        ("off: enabled", "off: field", "9: toy/Table: `off`: the field has no truth value field"),
        ("        off: enabled\n", "", "9: toy/Table: only what can be switched `off` can `restart`"),
        (
            "off: enabled",
            "off: enabled\n        clear: {enabled: false}",
            "9: toy/Table: what can be switched `off` needs no `clear`",
        ),
        ("when: {spec.name:", "when: {spec.nam:", "9: toy/Table: Table has no field spec.nam; did you mean spec.name?"),
        ("members: {enabled:", "members: {enable:", "9: toy/Table: the field has no member enable"),
        ("seen: Status", "seen: State", "9: toy/Table: the answer has no State; did you mean Status?"),
        ("{ON: true,", "{UP: true,", "9: toy/Table: answers never have UP there"),
        ("{ON: true,", "{ON: maybe,", "9: toy/Table: ON stands for \"maybe\", which the published field cannot have"),
        ("restart: true", "prefix: a", "9: toy/Table: a field has one of `prefix`, `lens`, `enum` and `members`"),
        ("shared: name", "shared: nam", "8: toy/Table: `shared`: elements have no member nam"),
        (
            "{role: create-only, shared: name}",
            "{shared: name}",
            "8: toy/Table: only a `create-only` list is `shared` with other fields",
        ),
        ("{keys: set}", "{key: set}", "14: toy/Table: field `indexes` has no member key"),
        ("{Create: item}", "{Make: item}", "17: toy/Table: Change has no member Make"),
        ("{Name: item.name}", "{Name: item.nam}", "17: toy/Table: elements have no member nam"),
        (
            "[{Delete: {Name: item.name}}]",
            "[{Delete: {Name: spec.name}}]",
            "17: toy/Table: UpdateTable is not told which elements: say `items` or `item` in `in`",
        ),
        ("with: [columns]", "with: [column]", "17: toy/Table: `with`: UpdateTable takes no field column"),
        ("skip: {name:", "skip: {nam:", "17: toy/Table: elements have no member nam"),
        (
            "skip: {name: region}",
            "skip: {name: regio}",
            "17: toy/Table: `regio` is not a source: spec., status., option., arn, account, region or partition",
        ),
    ];
    Toy::new(API, SURFACE).tells_each(GOOD, &cases);
}
