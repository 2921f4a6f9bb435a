//! What lint tells of descriptors that compile.

use cso_facts::Catalog;
use cso_schema::compile::Document;
use cso_schema::lint::{Report, lint};

use crate::toy::edited;

const GOOD: &str = "\
service: logs
errors:
  absent: [ResourceNotFoundException]
kinds:
  LogGroup:
    surface: {without: [deletionProtectionEnabled, kmsKeyId]}
    api:
      create: CreateLogGroup
      read: {op: DescribeLogGroups, in: {logGroupNamePrefix: spec.logGroupName}, at: \"logGroups[]\", pick: {logGroupName: spec.logGroupName}}
      update: none
      delete: DeleteLogGroup
    identity:
      name: spec.logGroupName
      handle: {resourceArn: arn}
      arn: logGroupArn
    fields:
      logGroupName: create-only
      logGroupClass: create-only
    parts:
      retention:
        config: {put: PutRetentionPolicy, delete: DeleteRetentionPolicy}
        field: retentionInDays
    tags: {at-create: tags, read: ListTagsForResource, add: TagResource, remove: UntagResource}
";

fn linted(text: &str) -> Report {
    lint(&[Document { file: "logs.yaml".to_owned(), text: text.to_owned() }], Catalog::builtin())
}

#[track_caller]
fn warns(from: &str, to: &str, expected: &str) {
    let report = linted(&edited(GOOD, &[(from, to)]));
    let told: Vec<String> = report.warnings.iter().map(ToString::to_string).collect();
    assert!(report.errors.is_empty(), "{:#?}", report.errors);
    assert_eq!(told, [format!("logs.yaml:{expected}")]);
}

#[test]
fn a_good_descriptor_has_no_warnings() {
    let report = linted(GOOD);
    assert_eq!((report.errors, report.warnings, report.kinds), (vec![], vec![], vec!["logs/LogGroup".to_owned()]));
}

#[test]
fn what_no_field_covers_is_listed() {
    let lines: Vec<String> =
        linted(GOOD).uncovered.iter().map(|one| format!("{}: {}", one.operation, one.members.join(" "))).collect();
    let members = "kmsKeyId deletionProtectionEnabled";
    assert_eq!(lines, [format!("CreateLogGroup: {members}"), format!("DescribeLogGroups: {members}")]);
}

#[test]
fn longer_forms_are_told() {
    warns(
        "create: CreateLogGroup",
        "create: {op: CreateLogGroup}",
        "8: logs/LogGroup: `{op: CreateLogGroup}` is `CreateLogGroup` for short",
    );
    warns(
        "read: ListTagsForResource",
        "read: {op: ListTagsForResource}",
        "23: logs/LogGroup: `{op: ListTagsForResource}` is `ListTagsForResource` for short",
    );
    warns(
        "delete: DeleteRetentionPolicy",
        "delete: {op: DeleteRetentionPolicy}",
        "21: logs/LogGroup: `{op: DeleteRetentionPolicy}` is `DeleteRetentionPolicy` for short",
    );
    warns(
        "put: PutRetentionPolicy",
        "put: {op: PutRetentionPolicy, send: all}",
        "21: logs/LogGroup: `send: all` is the default: leave it out",
    );
    warns(
        "logGroupClass: create-only",
        "logGroupClass: {role: create-only}",
        "18: logs/LogGroup: `{role: create-only}` is `create-only` for short",
    );
    warns(
        "field: retentionInDays",
        "fields: [retentionInDays]",
        "22: logs/LogGroup: a single one is `field: retentionInDays`",
    );
    warns(
        "name: spec.logGroupName",
        "name: [spec.logGroupName]",
        "13: logs/LogGroup: `[spec.logGroupName]` is `spec.logGroupName` for short",
    );
    warns("{resourceArn: arn}", "{resourceArn: [arn]}", "14: logs/LogGroup: `[arn]` is `arn` for short");
    warns(
        "    fields:",
        "    names: {logGroupClass: logGroupClass}\n    fields:",
        "16: logs/LogGroup: `logGroupClass` finds its member without `names`: leave it out",
    );
    warns("service: logs\n", "service: logs\nscope: region\n", "2: `scope: region` is the default: leave it out");
    warns("service: logs\n", "service: logs\nconsistency: 10s\n", "2: `consistency: 10s` is the default: leave it out");
}

/// A text that the model marks as sensitive is a secret, or the author says nothing and hears of it.
#[test]
fn sensitive_members_that_are_shown_are_told() {
    let text = Catalog::builtin().descriptor("secretsmanager").unwrap();
    let open = edited(
        text,
        &[
            ("      secretString: secret\n", "      secretString: {unreadable: true}\n"),
            ("  Secret:\n", "  Secret:\n    surface: {without: [SecretBinary, Type, CrossAccountPrimaryARN]}\n"),
        ],
    );
    let report = linted(&open);
    assert!(report.errors.is_empty(), "{:#?}", report.errors);
    let told: Vec<&str> = report.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(told, ["the API's model marks `secretString` as sensitive: say `secret` if it must not be shown"]);
}
