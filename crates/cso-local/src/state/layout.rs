//! What is in the file, how it comes into being, and how an unusable one is told from a good one.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cso_core::DigestKey;
use cso_core::port::StoreMeta;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::error::StateError;

/// The format that this program reads and writes.
pub(super) const FORMAT: i64 = 1;

/// `cso` and a zero: tells our files from other SQLite files.
const APPLICATION: i64 = 0x6373_6f00;

/// What a process writes into the file when it opens it. Another value there means that the lock did not hold: a lock file
/// that was deleted, or a network file system that only pretends to lock.
pub(super) type Token = [u8; 16];

/// A checkpoint of another process may hold the file for a moment; longer means something is wrong.
const BUSY: Duration = Duration::from_secs(10);

/// Records and events are JSON text, so that `sqlite3` shows them and a new field needs no migration.
///
/// Files of earlier versions have `records` WITHOUT ROWID, and are used as they are. SQLite keeps no more than a quarter of
/// a page of such a row with its neighbours: each record had a page of its own, which is twice as much to write.
const TABLES: &str = "
    CREATE TABLE meta (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        id         TEXT NOT NULL,
        digest_key BLOB NOT NULL,
        writer     BLOB NOT NULL DEFAULT x''
    );
    CREATE TABLE records (
        api_group TEXT NOT NULL,
        kind      TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name      TEXT NOT NULL,
        body      TEXT NOT NULL,
        PRIMARY KEY (api_group, kind, namespace, name)
    );
    CREATE TABLE events (
        seq       INTEGER PRIMARY KEY,
        api_group TEXT NOT NULL,
        kind      TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name      TEXT NOT NULL,
        body      TEXT NOT NULL
    );
    CREATE INDEX events_by_object ON events (api_group, kind, namespace, name, seq);
";

/// The path with an ending behind its whole name, as SQLite names its companions.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

/// Makes the directory of the state file, private and ignored by version control.
///
/// A directory that has anything in it is somebody's: nothing is written to it. An empty one may be ours from a run that
/// was killed between the two steps.
pub(super) fn prepare_directory(path: &Path) -> Result<(), StateError> {
    let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    let failed = |source| StateError::Io { path: directory.to_owned(), doing: "make the state directory", source };
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    if fs::read_dir(directory).map_err(failed)?.next().is_none() {
        fs::write(directory.join(".gitignore"), "*\n").map_err(failed)?;
    }
    Ok(())
}

/// Opens the file for writing, and claims it with a token. The caller holds the lock.
pub(super) fn open_or_create(path: &Path, token: &Token) -> Result<Connection, StateError> {
    if !exists(path)? {
        create(path)?;
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    check(&connection, path)?;
    let failed = |source| StateError::of(path, source);
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if verdict != "ok" {
        return Err(StateError::Damaged { path: path.to_owned(), what: verdict });
    }
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let source = io::Error::other("its file system cannot share memory between processes; use a local disk");
        return Err(StateError::Io { path: path.to_owned(), doing: "open the log of the state file", source });
    }
    claim(&connection, token).map_err(failed)?;
    // FULL: the log is on the disk before a commit returns. The fullfsync pair asks the same of disks on macOS.
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
             PRAGMA journal_size_limit = 16777216;",
        )
        .map_err(failed)?;
    // A file that came back from a backup may be readable for others.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|source| StateError::Io {
        path: path.to_owned(),
        doing: "make it private",
        source,
    })?;
    Ok(connection)
}

/// Puts our token into the file. Its commit is not flushed: it is for processes that live now, and none outlives a power
/// loss. NORMAL and not OFF: a log that a crash left may be checkpointed here, and that must be flushed.
fn claim(connection: &Connection, token: &Token) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA synchronous = NORMAL")?;
    connection.execute("UPDATE meta SET writer = ?", [token]).map(|_| ())
}

/// Opens the file for reading beside a writer.
pub(super) fn open_existing(path: &Path) -> Result<Connection, StateError> {
    if !exists(path)? {
        return Err(StateError::Missing { path: path.to_owned() });
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&connection, path)?;
    Ok(connection)
}

fn exists(path: &Path) -> Result<bool, StateError> {
    let failed = |source| StateError::Io { path: path.to_owned(), doing: "look for the state file", source };
    path.try_exists().map_err(failed)
}

/// The facts that the file keeps from its birth.
pub(super) fn read_meta(connection: &Connection, path: &Path) -> Result<StoreMeta, StateError> {
    let row = connection
        .query_row("SELECT id, digest_key FROM meta", [], |row| {
            Ok(StoreMeta { id: row.get(0)?, digest_key: DigestKey::from_bytes(row.get(1)?) })
        })
        .optional()
        .map_err(|source| StateError::of(path, source))?;
    row.ok_or_else(|| StateError::Damaged { path: path.to_owned(), what: "it has lost its identity".to_owned() })
}

/// Random bytes from the operating system.
pub(super) fn random<const N: usize>(path: &Path) -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| StateError::Io {
        path: path.to_owned(),
        doing: "get random bytes for the state file",
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

/// Makes the file complete under another name first: a file under its own name is never half made, so an empty one is
/// damage and not a beginning.
fn create(path: &Path) -> Result<(), StateError> {
    let log = beside(path, "-wal");
    if log.exists() {
        // Its frames would be taken for those of the new file.
        return Err(StateError::LogWithoutFile { path: path.to_owned(), log });
    }
    let failed = |source| StateError::Io { path: path.to_owned(), doing: "make the state file", source };
    let unfinished = beside(path, ".new");
    for leftover in ["", "-wal", "-shm", "-journal"].map(|ending| beside(&unfinished, ending)) {
        fs::remove_file(leftover).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(failed(error)),
        })?;
    }
    // SQLite gives its companions the mode of the file, so it must be private before SQLite sees it.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
    let connection = connect(&unfinished, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    fill(&connection, path).map_err(|error| match error {
        StateError::Engine { source, .. } => StateError::Engine { path: path.to_owned(), source },
        other => other,
    })?;
    connection.close().map_err(|(_, source)| StateError::of(path, source))?;
    // The one flush that counts: of the whole, before it gets its name.
    File::open(&unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    fs::rename(&unfinished, path).map_err(failed)?;
    // The new name is durable only when the directory is.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn fill(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let id = format!("{:016x}", u64::from_be_bytes(random(path)?));
    let digest_key: [u8; 32] = random(path)?;
    let write = || {
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; BEGIN IMMEDIATE; {TABLES}
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
        ))?;
        connection.execute("INSERT INTO meta (one, id, digest_key) VALUES (1, ?, ?)", (id, digest_key))?;
        connection.execute_batch("COMMIT")
    };
    write().map_err(|source| StateError::of(path, source))
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StateError> {
    let failed = |source| StateError::of(path, source);
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Otherwise a cached statement is compiled anew whenever a parameter that its plan might depend on has another value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    Ok(connection)
}

/// Refuses a file that is not ours or not of our time, before anything is written to it.
fn check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let pragma = |name: &str| {
        connection
            .query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0))
            .map_err(|source| StateError::of(path, source))
    };
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION {
        return Err(match fs::metadata(path) {
            Ok(file) if file.len() == 0 => {
                StateError::Damaged { path: path.to_owned(), what: "it is empty".to_owned() }
            }
            _ => StateError::NotState { path: path.to_owned() },
        });
    }
    if found > FORMAT {
        return Err(StateError::Newer { path: path.to_owned(), found });
    }
    Ok(())
}
