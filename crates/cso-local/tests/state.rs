//! The state file against crashes, other processes, full disks and damage.

#![allow(clippy::print_stdout, reason = "children tell their parent what they did")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use cso_core::port::{Change, Event, EventKind, Store as _, StoreError};
use cso_core::{DigestKey, ObjectKey, Record};
use cso_local::state::{EVENTS_KEPT, EVENTS_KEPT_PER_OBJECT, EventFilter, StateError, StateFile};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

/// Where children of these tests find their state file.
const PATH: &str = "STATE_TEST_PATH";

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("sqs.services.k8s.aws", "Queue", "default", name)
}

fn put(name: &str, generation: u64) -> Change {
    let digest = DigestKey::from_bytes([7; 32]).digest("spec", &json!(generation));
    let mut record = Record::new(key(name), format!("uid-{name}"), digest);
    record.generation = generation;
    record.status.insert("queueURL".to_owned(), json!(format!("https://queue/{name}")));
    Change::Put(Arc::new(record))
}

fn event(name: &str, second: i64) -> Change {
    Change::Event(Event {
        at: Timestamp::from_second(second).expect("in range"),
        object: key(name),
        kind: EventKind::Normal,
        reason: "Created".to_owned(),
        message: format!("event {second}"),
    })
}

#[tokio::main(flavor = "current_thread")]
async fn commit(state: &StateFile, changes: Vec<Change>) -> Result<(), StoreError> {
    state.commit(changes).await
}

#[tokio::main(flavor = "current_thread")]
async fn load(state: &StateFile) -> Result<Vec<Record>, StoreError> {
    state.load().await
}

/// Name and generation of each record.
fn contents(state: &StateFile) -> Vec<(String, u64)> {
    load(state).expect("loads").into_iter().map(|record| (record.key.name.clone(), record.generation)).collect()
}

fn scratch() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let path = directory.path().join(".cso/state.db");
    (directory, path)
}

fn open(path: &Path) -> StateFile {
    StateFile::open(path).unwrap_or_else(|error| panic!("{error}"))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// Runs one of the ignored tests of this file as a process of its own.
fn child(test: &str, path: &Path) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(PATH, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("a child")
}

#[expect(clippy::disallowed_methods, reason = "how a test talks to the process it starts")]
fn child_path() -> PathBuf {
    std::env::var_os(PATH).expect("only started by other tests").into()
}

/// The lines that a child tells with this word in front, without it.
fn told<'a>(child: &'a mut Child, word: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    // The test harness may put its own text on the same line, before ours.
    lines.map_while(Result::ok).filter_map(move |line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()))
}

#[test]
fn identity_is_made_once() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    let meta = state.meta().clone();
    assert_eq!(meta.id.len(), 16);
    assert!(meta.id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{}", meta.id);
    commit(&state, vec![put("a", 1)]).expect("commits");
    drop(state);

    let state = open(&path);
    assert_eq!(state.meta().id, meta.id);
    let digest = |key: &DigestKey| key.digest("x", &json!(1));
    assert_eq!(digest(&state.meta().digest_key), digest(&meta.digest_key));

    let (_other, other_path) = scratch();
    let other = open(&other_path);
    assert_ne!(other.meta().id, meta.id);
    assert_ne!(digest(&other.meta().digest_key), digest(&meta.digest_key));
}

#[test]
fn records_come_back_as_they_were_written() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    commit(&state, vec![put("b", 1), put("a", 1), put("c", 1)]).expect("commits");
    commit(&state, vec![put("a", 2), Change::Remove(key("c"))]).expect("commits");
    commit(&state, Vec::new()).expect("nothing to do is no error");
    drop(state);
    let records = load(&open(&path)).expect("loads");
    let expected: Vec<Record> = [put("a", 2), put("b", 1)]
        .into_iter()
        .map(|change| match change {
            Change::Put(record) | Change::Close(record) => Record::clone(&record),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(records, expected);
}

#[test]
fn the_directory_and_the_files_are_private_and_ignored() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    commit(&state, vec![put("a", 1)]).expect("commits");
    let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o777;
    let directory = path.parent().expect("has one");
    assert_eq!(mode(directory), 0o700);
    for ending in ["", "-wal", "-shm", ".lock"] {
        assert_eq!(mode(&beside(&path, ending)), 0o600, "{ending}");
    }
    assert_eq!(fs::read_to_string(directory.join(".gitignore")).expect("exists"), "*\n");
    drop(state);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("allowed");
    drop(open(&path));
    assert_eq!(mode(&path), 0o600, "a file restored with a wider mode is made private again");
}

#[test]
fn a_directory_of_somebody_else_is_left_as_it_is() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    fs::write(directory.path().join("notes"), "mine").expect("writes");
    drop(open(&directory.path().join("state.db")));
    assert!(!directory.path().join(".gitignore").exists());
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_file() {
    let (_scratch, path) = scratch();
    let mut holder = child("child_holds_the_file", &path);
    assert_eq!(told(&mut holder, "holding").next().as_deref(), Some(""));
    let error = StateFile::open(&path).expect_err("in use");
    assert!(matches!(error, StateError::InUse { pid: Some(pid), .. } if pid == holder.id()), "{error}");
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()) && text.contains(&holder.id().to_string()), "{text}");
    drop(holder.stdin.take());
    holder.wait().expect("ends");
    drop(open(&path));
}

#[test]
#[ignore = "a child of another test"]
fn child_holds_the_file() {
    let _state = open(&child_path());
    println!("holding");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_process_that_lost_its_lock_file_commits_nothing_more() {
    let (_scratch, path) = scratch();
    let first = open(&path);
    commit(&first, vec![put("a", 1)]).expect("commits");
    fs::remove_file(beside(&path, ".lock")).expect("removes");
    let second = open(&path);
    let error = commit(&first, vec![put("a", 2)]).expect_err("taken over");
    assert!(error.message.contains("taken over"), "{error}");
    assert_eq!(contents(&second), [("a".to_owned(), 1)]);
    commit(&second, vec![put("a", 3)]).expect("the new holder goes on");
}

/// Files of earlier versions keep their records in a table without rowids.
#[test]
fn a_file_of_an_earlier_version_is_used_as_it_is() {
    let (_scratch, path) = scratch();
    drop(open(&path));
    let earlier = "
        DROP TABLE records;
        CREATE TABLE records (
            api_group TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (api_group, kind, namespace, name)
        ) WITHOUT ROWID;";
    let connection = rusqlite::Connection::open(&path).expect("opens");
    connection.execute_batch(earlier).expect("makes the table as it was");
    drop(connection);
    let state = open(&path);
    commit(&state, vec![put("b", 1), put("a", 1), put("c", 1)]).expect("commits");
    commit(&state, vec![put("a", 2), Change::Remove(key("c"))]).expect("commits");
    drop(state);
    assert_eq!(contents(&open(&path)), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

#[test]
fn a_reader_sees_each_commit_beside_the_writer() {
    let (_scratch, path) = scratch();
    assert!(matches!(StateFile::open_read_only(&path), Err(StateError::Missing { .. })));
    assert!(!path.exists(), "looking makes nothing");
    let state = open(&path);
    let reader = StateFile::open_read_only(&path).expect("opens beside the writer");
    assert_eq!(reader.meta().id, state.meta().id);
    for generation in 1..4 {
        commit(&state, vec![put("a", generation)]).expect("commits while a reader is there");
        let record = reader.record(&key("a")).expect("reads").expect("is there");
        assert_eq!(record.generation, generation);
    }
    assert_eq!(reader.record(&key("b")).expect("reads"), None);
    assert_eq!(reader.records().expect("reads").len(), 1);
    drop(state);
    assert_eq!(StateFile::open_read_only(&path).expect("opens alone").records().expect("reads").len(), 1);
}

#[test]
fn events_are_bounded_per_object_and_in_all() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    let noisy: Vec<Change> = (0..200).map(|second| event("noisy", second)).collect();
    commit(&state, noisy).expect("commits");
    let reader = StateFile::open_read_only(&path).expect("opens");
    let kept = reader.events(&EventFilter::of(&key("noisy"))).expect("reads");
    assert_eq!(kept.len(), EVENTS_KEPT_PER_OBJECT as usize);
    assert_eq!(kept.last().map(|event| event.message.as_str()), Some("event 199"), "the newest are kept");
    assert!(kept.is_sorted_by_key(|event| event.at), "oldest first");

    let many: Vec<Change> = (0..i64::from(EVENTS_KEPT)).map(|n| event(&format!("quiet-{n}"), n)).collect();
    commit(&state, many).expect("commits");
    let all = reader.events(&EventFilter::default()).expect("reads");
    assert_eq!(all.len(), EVENTS_KEPT as usize);
    assert_eq!(all.first().map(|event| event.object.name.as_str()), Some("quiet-0"));
    drop(state);
    let state = open(&path);
    commit(&state, vec![event("one-more", 1)]).expect("commits");
    assert_eq!(reader.events(&EventFilter::default()).expect("reads").len(), EVENTS_KEPT as usize);
    let newest = EventFilter { limit: Some(1), namespace: Some("default".to_owned()), ..EventFilter::default() };
    let newest = reader.events(&newest).expect("reads");
    assert_eq!(newest.iter().map(|event| event.object.name.as_str()).collect::<Vec<_>>(), ["one-more"]);
}

#[test]
fn commits_that_wait_together_share_a_transaction() {
    const COMMITS: u64 = 500;
    let (_scratch, path) = scratch();
    let state = std::sync::Arc::new(open(&path));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..COMMITS {
            let state = std::sync::Arc::clone(&state);
            tasks.spawn(async move { state.commit(vec![put(&format!("q{n:03}"), 1), event("q", 1)]).await });
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic").expect("commits");
        }
    });
    assert_eq!(contents(&state).len() as u64, COMMITS);
    assert!(state.transactions() < COMMITS / 2, "{} transactions for {COMMITS} commits", state.transactions());
}

#[test]
fn a_newer_format_is_refused_with_what_to_do() {
    let (_scratch, path) = scratch();
    drop(open(&path));
    rusqlite::Connection::open(&path).expect("opens").pragma_update(None, "user_version", 2).expect("writes");
    refused(&path, |error| matches!(error, StateError::Newer { found: 2, .. }), "use the cso that wrote it");
}

#[test]
fn damage_is_told_and_nothing_is_overwritten() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    commit(&state, (0..100).map(|n| put(&format!("q{n}"), 1)).collect()).expect("commits");
    drop(state);
    let good = fs::read(&path).expect("reads");
    let is_damage = |error: &StateError| matches!(error, StateError::Damaged { .. });

    let mut scribbled = good.clone();
    scribbled[4096 * 2..].fill(0xaa);
    fs::write(&path, &scribbled).expect("writes");
    refused(&path, is_damage, "restore it");

    fs::write(&path, &good[..good.len() / 2]).expect("writes");
    refused(&path, is_damage, "restore it");

    fs::write(&path, "").expect("writes");
    refused(&path, is_damage, "it is empty");

    fs::write(
        &path,
        "a text that happens to have this name, long enough to look like a page header of a database file",
    )
    .expect("writes");
    refused(&path, is_damage, "restore it");

    fs::remove_file(&path).expect("removes");
    rusqlite::Connection::open(&path).expect("opens").execute_batch("CREATE TABLE mine (x)").expect("writes");
    refused(&path, |error| matches!(error, StateError::NotState { .. }), "name another path");
}

#[test]
fn one_unreadable_record_is_named_without_its_content() {
    let (_scratch, path) = scratch();
    let state = open(&path);
    commit(&state, vec![put("good", 1), put("bad", 1)]).expect("commits");
    rusqlite::Connection::open(&path)
        .and_then(|connection| connection.execute("UPDATE records SET body = '{\"hunter2\"' WHERE name = 'bad'", []))
        .expect("writes");
    let error = load(&state).expect_err("damaged");
    assert!(error.message.contains("record Queue default/bad"), "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[test]
fn a_log_without_its_file_is_not_taken_for_a_new_one() {
    let (_scratch, path) = scratch();
    drop(open(&path));
    fs::remove_file(&path).expect("removes");
    fs::write(beside(&path, "-wal"), "frames").expect("writes");
    let error = StateFile::open(&path).expect_err("refused");
    assert!(matches!(error, StateError::LogWithoutFile { .. }), "{error}");
    assert!(!path.exists());
}

/// Both ways of opening refuse the file, say so, and leave its bytes alone.
fn refused(path: &Path, expected: impl Fn(&StateError) -> bool, remedy: &str) {
    let before = fs::read(path).expect("reads");
    let error = StateFile::open(path).expect_err("refused");
    assert!(expected(&error), "{error}");
    assert!(error.to_string().contains(remedy), "{error}");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    if let Ok(reader) = StateFile::open_read_only(path) {
        // Opening to look checks no pages; reading them does.
        assert!(reader.records().is_err());
    }
    assert_eq!(fs::read(path).expect("reads"), before);
}

/// Power loss may cut the log anywhere in the last write: at every byte the old or the new state comes back.
#[test]
fn a_log_cut_at_any_byte_gives_the_old_or_the_new_state() {
    // No real disk is needed to read files that were cut already: memory saves the fsyncs of 10,000 openings.
    let fast = Path::new("/dev/shm");
    let scratch = if fast.is_dir() { TempDir::new_in(fast) } else { TempDir::new() }.expect("a scratch directory");
    let path = scratch.path().join("original/state.db");
    let state = open(&path);
    commit(&state, vec![put("a", 1), put("b", 1)]).expect("commits");
    let log = beside(&path, "-wal");
    let old_length = fs::metadata(&log).expect("exists").len();
    commit(&state, vec![put("a", 2), put("b", 2), event("a", 1)]).expect("commits");
    let (file, frames) = (fs::read(&path).expect("reads"), fs::read(&log).expect("reads"));
    let old_length = usize::try_from(old_length).expect("small");
    assert!(old_length < frames.len(), "the second commit grew the log");
    let old = [("a".to_owned(), 1), ("b".to_owned(), 1)];
    let new = [("a".to_owned(), 2), ("b".to_owned(), 2)];

    let reopened = |copy: &Path, frames: &[u8]| {
        fs::write(copy, &file).expect("writes");
        fs::write(beside(copy, "-wal"), frames).expect("writes");
        contents(&open(copy))
    };
    let cut_at_each = |worker: usize, workers: usize| {
        let directory = scratch.path().join(format!("copy-{worker}"));
        fs::create_dir(&directory).expect("makes");
        let copy = directory.join("state.db");
        for length in (old_length..=frames.len()).skip(worker).step_by(workers) {
            let found = reopened(&copy, &frames[..length]);
            assert_eq!(found, if length == frames.len() { &new } else { &old }[..], "cut at {length}");
            // The log may also have grown before its bytes arrived, and hold whatever was there.
            if length % 97 == 0 {
                for filler in [0, 0xff] {
                    let mut torn = frames.clone();
                    torn[length..].fill(filler);
                    let found = reopened(&copy, &torn);
                    assert!(found == old || found == new, "torn at {length}: {found:?}");
                }
            }
        }
    };
    let cut_at_each = &cut_at_each;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            scope.spawn(move || cut_at_each(worker, workers));
        }
    });
}

#[test]
fn everything_that_was_acknowledged_survives_kill_9() {
    let (_scratch, path) = scratch();
    let mut acknowledged = 0;
    for round in 1..=5 {
        let mut writer = child("child_commits_for_ever", &path);
        let target = acknowledged + 20;
        for generation in told(&mut writer, "acknowledged") {
            acknowledged = generation.parse().expect("a number");
            if acknowledged >= target {
                break;
            }
        }
        writer.kill().expect("kills");
        // What it told between our last look and its death counts too.
        for generation in told(&mut writer, "acknowledged") {
            acknowledged = generation.parse().unwrap_or(acknowledged);
        }
        writer.wait().expect("ends");
        let reader = StateFile::open_read_only(&path).expect("reads what was left, unrecovered");
        let seen = reader.record(&key("a")).expect("reads").expect("is there").generation;
        assert!(seen >= acknowledged, "round {round}: {seen} < {acknowledged}");
        let state = open(&path);
        let (a, b) = match &contents(&state)[..] {
            [(_, a), (_, b)] => (*a, *b),
            other => panic!("{other:?}"),
        };
        assert!(a >= acknowledged, "round {round}: {a} < {acknowledged}");
        assert_eq!(a, b, "a commit is all or nothing");
        assert_eq!(a, seen);
    }
}

#[test]
#[ignore = "a child of another test"]
fn child_commits_for_ever() {
    let state = open(&child_path());
    let mut generation = contents(&state).first().map_or(0, |(_, generation)| *generation);
    loop {
        generation += 1;
        commit(&state, vec![put("a", generation), event("a", 1), put("b", generation)]).expect("commits");
        println!("acknowledged {generation}");
    }
}

/// On a file system of half a megabyte. Needs a kernel that lets users mount in a namespace of their own.
#[test]
fn a_full_disk_loses_nothing_and_room_heals_it() {
    let (_scratch, path) = scratch();
    let mount_point = path.parent().expect("has one");
    fs::create_dir(mount_point).expect("makes");
    let mount = r#"mount -t tmpfs -o size=512k tmpfs "$1" && shift && exec "$@""#;
    let unshare = |script: &str, arguments: &[&std::ffi::OsStr]| {
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", script, "sh"]).arg(mount_point).args(arguments).env(PATH, &path);
        command
    };
    if !unshare(mount, &["true".as_ref()]).output().is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine does not let users mount file systems");
        return;
    }
    let program = std::env::current_exe().expect("this program");
    let test = ["--exact", "child_fills_the_disk", "--ignored", "--nocapture"];
    let arguments: Vec<&std::ffi::OsStr> =
        std::iter::once(program.as_os_str()).chain(test.iter().map(AsRef::as_ref)).collect();
    let output = unshare(mount, &arguments).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("healed"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "a child of another test"]
fn child_fills_the_disk() {
    let path = child_path();
    let state = open(&path);
    let ballast = path.with_file_name("ballast");
    fs::write(&ballast, vec![1; 100 << 10]).expect("there is room for the ballast");
    let mut written = 0;
    let error = loop {
        match commit(&state, vec![put(&format!("q{written:05}"), 1)]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(error.message.contains("is full: make room"), "{error}");
    assert!(written > 10, "{written}");
    assert_eq!(contents(&state).len(), written, "nothing is lost");
    fs::remove_file(&ballast).expect("removes");
    commit(&state, vec![put("after", 1)]).expect("there is room again");
    drop(state);
    assert_eq!(contents(&open(&path)).len(), written + 1);
    println!("healed after {written}");
}
