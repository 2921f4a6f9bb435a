//! The state file: the file as a whole, and the records in it.

use std::fs;
use std::path::Path;

use cso_core::Record;
use cso_core::port::Store as _;
use cso_local::state::{EventFilter, StateError, StateFile};

/// A record that is read is written and read as the same.
pub(crate) fn record(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return };
    let text = serde_json::to_string(&record).expect("a record can be written");
    let again: Record = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(serde_json::to_string(&again).expect("a record can be written"), text);
}

/// A file of these bytes is refused and left as it is, or it is read, by a reader and by a writer alike.
pub(crate) fn file(bytes: &[u8]) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let path = directory.path().join("state.db");
    fs::write(&path, bytes).expect("room for a small file");
    let read = read(&path);
    assert_eq!(fs::read(&path).expect("it is still there"), bytes, "a reader changed the file");
    match StateFile::open(&path) {
        Ok(state) => match (load(&state), read) {
            (Ok(written), Ok(read)) => assert_eq!(texts(&written), texts(&read)),
            (Err(_), Err(_)) => {}
            // A reader needs no more than the tables; a writer wants a sound file, and finds more wrong.
            (Err(error), Ok(_)) => panic!("only a reader can read it: {error}"),
            (Ok(_), Err(error)) => panic!("only the writer can read it: {error}"),
        },
        Err(refusal) => {
            assert!(refusal.to_string().contains("state.db"), "{refusal}");
            assert_eq!(fs::read(&path).expect("it is still there"), bytes, "changed, and refused: {refusal}");
        }
    }
}

fn read(path: &Path) -> Result<Vec<Record>, StateError> {
    let reader = StateFile::open_read_only(path)?;
    // Damaged events are told when they are asked for; records do not suffer.
    let _ = reader.events(&EventFilter::default());
    reader.records()
}

fn load(state: &StateFile) -> Result<Vec<Record>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(state.load()).map_err(|error| error.to_string())
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| serde_json::to_string(record).expect("a record can be written")).collect()
}
