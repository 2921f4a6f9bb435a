//! What people see when their manifests, files or surroundings are wrong: exit code, and object, field and remedy.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in a directory, with nothing of our own environment.
fn cso(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cso"));
    command.current_dir(directory).args(arguments).env_clear();
    // No credentials but what a test gives: the instance's metadata service is not asked.
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", directory);
    command.output().expect("the program runs")
}

/// Exit code, stdout and stderr as one text.
fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let code = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
    format!("exit {code}\n--- out\n{}--- err\n{}", text(&output.stdout), text(&output.stderr))
}

/// What is told of manifests by the commands that read them: all refuse them with the same words, and leave no state.
fn refused(files: &[(&str, &str)]) -> String {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    fs::create_dir(scratch.path().join("dir")).expect("a directory");
    for (name, text) in files {
        fs::write(scratch.path().join("dir").join(name), text).expect("a file");
    }
    let [validated, applied, planned] =
        ["validate", "apply", "plan"].map(|command| told(&cso(scratch.path(), &[command, "-f", "dir"])));
    assert_eq!(validated, applied);
    assert_eq!(validated, planned);
    assert!(!scratch.path().join(".cso").exists(), "a refused apply leaves no state file");
    validated
}

const QUEUE: &str = "apiVersion: sqs.services.k8s.aws/v1alpha1\nkind: Queue\nmetadata: {name: orders}\nspec:\n";

fn queue(spec: &str) -> String {
    format!("{QUEUE}{spec}")
}

#[test]
fn malformed_yaml() {
    insta::assert_snapshot!(refused(&[("a.yaml", &queue("  queueName: [orders\n"))]));
}

#[test]
fn unknown_kind() {
    let text = QUEUE.replace("kind: Queue", "kind: Qeue") + "  queueName: orders\n";
    insta::assert_snapshot!(refused(&[("a.yaml", &text)]));
}

#[test]
fn unknown_group_and_version() {
    let group = QUEUE.replace("sqs.services", "sqss.services") + "  queueName: orders\n";
    let version = QUEUE.replace("v1alpha1", "v1").replace("orders", "two") + "  queueName: two\n";
    insta::assert_snapshot!(refused(&[("a.yaml", &group), ("b.yaml", &version)]));
}

#[test]
fn unknown_field() {
    insta::assert_snapshot!(refused(&[("a.yaml", &queue("  queueName: orders\n  delaySecond: \"3\"\n"))]));
}

#[test]
fn wrong_type_and_missing_field() {
    insta::assert_snapshot!(refused(&[("a.yaml", &queue("  delaySeconds: 3\n"))]));
}

#[test]
fn missing_reference() {
    let spec = "  queueName: orders\n  kmsMasterKeyRef:\n    from: {name: shop}\n";
    insta::assert_snapshot!(refused(&[("a.yaml", &queue(spec))]));
}

#[test]
fn a_list_of_references_one_of_which_leads_nowhere() {
    let api = "apiVersion: iam.services.k8s.aws/v1alpha1";
    let policy =
        format!("{api}\nkind: Policy\nmetadata: {{name: read}}\nspec: {{name: read, policyDocument: '{{}}'}}\n");
    let role = format!(
        "{api}\nkind: Role\nmetadata: {{name: reader}}\nspec:\n  name: reader\n  assumeRolePolicyDocument: '{{}}'\n  \
         policyRefs:\n    - from: {{name: read}}\n    - from: {{name: write}}\n"
    );
    insta::assert_snapshot!(refused(&[("a.yaml", &format!("{policy}---\n{role}"))]));
}

#[test]
fn missing_secret() {
    let text = "apiVersion: secretsmanager.services.k8s.aws/v1alpha1\nkind: Secret\nmetadata: {name: db}\n\
                spec:\n  name: db\n  secretString: {name: db, key: password}\n";
    insta::assert_snapshot!(refused(&[("a.yaml", text)]));
}

#[test]
fn two_manifests_for_one_object() {
    let text = queue("  queueName: orders\n");
    insta::assert_snapshot!(refused(&[("a.yaml", &text), ("b.yaml", &text)]));
}

#[test]
fn no_such_directory() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    insta::assert_snapshot!(told(&cso(scratch.path(), &["apply", "-f", "nowhere"])));
}

#[test]
fn no_credentials() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    fs::write(scratch.path().join("a.yaml"), queue("  queueName: orders\n")).expect("a file");
    let arguments = ["apply", "-f", "a.yaml", "--region", "eu-west-1"];
    insta::assert_snapshot!(told(&cso(scratch.path(), &arguments)));
    assert!(!scratch.path().join(".cso").exists());
}

#[test]
fn no_region() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    fs::write(scratch.path().join("a.yaml"), queue("  queueName: orders\n")).expect("a file");
    insta::assert_snapshot!(told(&cso(scratch.path(), &["plan", "-f", "a.yaml"])));
}

#[test]
fn no_state_file_yet() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    insta::assert_snapshot!(told(&cso(scratch.path(), &["get"])));
}

#[test]
fn a_state_file_that_is_none() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    fs::write(scratch.path().join("state"), "a text of somebody's\n".repeat(100)).expect("a file");
    insta::assert_snapshot!(told(&cso(scratch.path(), &["get", "--state", "state"])));
}

#[test]
fn kinds_and_fields_that_do_not_exist() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let all = [["explain", "queues.delaySecond"], ["get", "qeues"], ["crds", "pod"]];
    let texts = all.map(|arguments| told(&cso(scratch.path(), &arguments)));
    insta::assert_snapshot!(texts.join("\n"));
}

/// A field export of a queue's status into a target, both as written.
fn export(name: &str, path: &str, to: &str) -> String {
    format!(
        "---\napiVersion: services.k8s.aws/v1alpha1\nkind: FieldExport\nmetadata: {{name: {name}}}\nspec:\n  from:\n    \
         path: {path}\n    resource: {{group: sqs.services.k8s.aws, kind: Queue, name: orders}}\n  to: {to}\n"
    )
}

#[test]
fn exports_that_cannot_be() {
    let app = "{kind: configmap, name: app}";
    let texts = [
        queue("  queueName: orders\n"),
        export("pipe", "'.status.queueURL | length'", app),
        export("wrong", ".status.queueUrl", app),
        export("whole", ".spec.tags", app),
        export("kind", ".status.queueURL", "{kind: ConfigMap, name: app}"),
        export("nameless", ".status.queueURL", "{kind: secret}"),
        export("nobody", ".status.queueURL", app).replace("name: orders", "name: order"),
        export("foreign", ".status.queueURL", app).replace("kind: Queue", "kind: Qeue"),
    ];
    insta::assert_snapshot!(refused(&[("a.yaml", &texts.concat())]));
}

#[test]
fn exports_that_meet() {
    let app = "{kind: configmap, name: app, key: url}";
    let texts = [
        queue("  queueName: orders\n"),
        export("first", ".status.queueURL", app),
        export("second", ".spec.queueName", app),
        export("third", ".status.queueURL", "{kind: secret, name: db}"),
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: hunter2}\n".to_owned(),
    ];
    insta::assert_snapshot!(refused(&[("a.yaml", &texts.concat())]));
}

/// A kubeconfig for a server that is not there.
fn kubeconfig(directory: &Path) {
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: gone\n\
                clusters: [{name: gone, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
                users: [{name: me, user: {}}]\ncontexts: [{name: gone, context: {cluster: gone, user: me}}]\n";
    fs::write(directory.join("kubeconfig"), text).expect("a file");
}

#[test]
fn clusters_that_cannot_be_used() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    kubeconfig(scratch.path());
    let all: [&[&str]; 7] = [
        &["get", "queues", "--context", "prod"],
        &["get", "queues", "--kubeconfig", "kubeconfig", "--context", "prod"],
        &["get", "queues", "--kubeconfig", "kubeconfig"],
        &["crds", "install", "queue", "--kubeconfig", "kubeconfig"],
        &["plan", "--kubeconfig", "kubeconfig", "--prune"],
        &["apply", "-f", "dir", "--context", "prod"],
        &["delete", "queue", "orders", "--context", "prod"],
    ];
    let texts =
        all.map(|arguments| format!("$ cso {}\n{}", arguments.join(" "), told(&cso(scratch.path(), arguments))));
    let text = texts.join("\n").replace(&scratch.path().display().to_string(), "HOME");
    insta::assert_snapshot!(text);
}

#[test]
fn what_must_be_said_and_is_not() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let all: [&[&str]; 3] = [&["plan"], &["crds", "install"], &["crds", "install", "pod"]];
    let texts =
        all.map(|arguments| format!("$ cso {}\n{}", arguments.join(" "), told(&cso(scratch.path(), arguments))));
    insta::assert_snapshot!(texts.join("\n"));
}

/// Flags that charts of ACK's controllers have are known, and those that cannot be honoured are refused one and all.
#[test]
fn flags_of_ack() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let flags =
        ["controller", "--aws-region", "eu-west-1", "--watch-selectors", "team=blue", "--enable-webhook-server"];
    insta::assert_snapshot!(told(&cso(scratch.path(), &flags)));
}

#[test]
fn the_rights_of_a_controller() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    insta::assert_snapshot!(told(&cso(scratch.path(), &["crds", "rbac", "queue", "FieldExport"])));
}
