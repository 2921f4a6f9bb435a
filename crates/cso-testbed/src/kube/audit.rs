//! Every request, as the API server itself saw it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::target::{Target, is_write};

/// Who asked is enough, and a secret's content stays out of the log.
pub(super) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// A request that the API server has answered, or a watch that it has begun to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub user: String,
    pub user_agent: String,
    /// As in access rules: `create`, `watch`. The method, in lower case, for what is no resource.
    pub verb: String,
    pub target: Target,
    /// Path and query.
    pub uri: String,
    /// Status of the answer.
    pub code: u16,
    pub received: Timestamp,
    /// Nothing for a watch that goes on.
    pub ended: Option<Timestamp>,
}

impl AuditEvent {
    /// Whether the request could change something, judged by its verb. A review of access is created too.
    pub fn is_write(&self) -> bool {
        is_write(&self.verb)
    }
}

/// A moment in the life of a cluster: [`crate::kube::Cluster::audit_mark`].
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditMark(u64);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    id: String,
    stage: Stage,
    #[serde(rename = "requestURI")]
    uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Target,
    #[serde(default)]
    response_status: ResponseStatus,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Stage {
    ResponseStarted,
    ResponseComplete,
    Panic,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

/// The end of a log that may not be there yet.
pub(super) fn mark(log: &Path) -> io::Result<AuditMark> {
    match log.metadata() {
        Ok(metadata) => Ok(AuditMark(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(AuditMark(0)),
        Err(error) => Err(error),
    }
}

/// The requests that a log tells of from a mark on, in the order of their arrival.
pub(super) fn since(log: &Path, mark: AuditMark) -> io::Result<Vec<AuditEvent>> {
    let mut text = String::new();
    let mut file = File::open(log)?;
    // One byte before the mark, which may have been made while a line was on its way: that line is of before.
    file.seek(SeekFrom::Start(mark.0.saturating_sub(1)))?;
    file.read_to_string(&mut text)?;
    let begin = if mark.0 == 0 { 0 } else { text.find('\n').map_or(text.len(), |end| end + 1) };
    let text = &text[begin..];
    // The last line may be on its way.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let lines: Result<Vec<Line>, _> = whole.lines().map(serde_json::from_str).collect();
    Ok(events(lines.map_err(io::Error::other)?))
}

/// One event for each request: watches are told of twice, when they begin and when they end.
fn events(lines: Vec<Line>) -> Vec<AuditEvent> {
    let begun: HashSet<String> =
        lines.iter().filter(|line| line.stage == Stage::ResponseStarted).map(|line| line.id.clone()).collect();
    let mut events: Vec<(String, AuditEvent)> = Vec::new();
    for line in lines {
        let is_end = line.stage != Stage::ResponseStarted;
        if is_end && begun.contains(&line.id) {
            if let Some((_, event)) = events.iter_mut().find(|(id, _)| *id == line.id) {
                event.ended = Some(line.stage_timestamp);
            }
            continue;
        }
        // Only its end is here: it began before the mark.
        let is_old = line.stage == Stage::ResponseComplete && line.verb == "watch" && line.response_status.code == 200;
        if !is_old {
            events.push((line.id.clone(), event(line)));
        }
    }
    let mut events: Vec<AuditEvent> = events.into_iter().map(|(_, event)| event).collect();
    events.sort_by_key(|event| event.received);
    events
}

fn event(line: Line) -> AuditEvent {
    AuditEvent {
        user: line.user.username,
        user_agent: line.user_agent,
        verb: line.verb,
        target: line.object_ref,
        uri: line.uri,
        code: line.response_status.code,
        received: line.request_received_timestamp,
        ended: (line.stage != Stage::ResponseStarted).then_some(line.stage_timestamp),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(id: &str, stage: &str, verb: &str, second: u32) -> String {
        let time = format!("2026-01-01T00:00:{second:02}.000000Z");
        format!(
            r#"{{"kind":"Event","auditID":"{id}","stage":"{stage}","requestURI":"/api/v1/configmaps","verb":"{verb}","user":{{"username":"u"}},"objectRef":{{"resource":"configmaps","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"requestReceivedTimestamp":"2026-01-01T00:00:0{id}.5Z","stageTimestamp":"{time}"}}"#
        ) + "\n"
    }

    #[test]
    fn a_request_is_told_once_and_from_the_mark_on() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("audit.log");
        let old = [line("1", "ResponseStarted", "watch", 1), line("2", "ResponseComplete", "create", 2)].concat();
        fs::write(&log, &old).unwrap();
        let from = mark(&log).unwrap();
        let new = [
            line("4", "ResponseStarted", "watch", 4),
            line("3", "ResponseComplete", "update", 5),
            line("1", "ResponseComplete", "watch", 6),
            line("4", "ResponseComplete", "watch", 7),
            line("5", "ResponseStarted", "watch", 8),
        ];
        fs::write(&log, [&old, &new.concat(), r#"{"kind":"Eve"#].concat()).unwrap();

        let told = |from| -> Vec<(String, bool)> {
            since(&log, from).unwrap().into_iter().map(|event| (event.verb, event.ended.is_some())).collect()
        };
        let expected =
            [("update", true), ("watch", true), ("watch", false)].map(|(verb, ended)| (verb.to_owned(), ended));
        assert_eq!(told(from), expected);
        assert_eq!(told(AuditMark(from.0 + 3)).len(), 2, "the line that the mark is in is of before");
        assert_eq!(told(AuditMark::default()).len(), 5);
    }
}
