//! Where in a file a violation is.

/// The line that a path of mapping keys leads to; the deepest one found when the rest is written inline.
pub(super) fn line_of(text: &str, path: &[&str]) -> usize {
    let mut best = 1;
    let mut wanted = path.iter().peekable();
    let mut floor = None;
    // Where the keys stand among which the next one is looked for: the first line below says it.
    let mut level = None;
    for (number, line) in text.lines().enumerate() {
        let Some(key) = wanted.peek() else { break };
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if floor.is_some_and(|floor| indent <= floor) {
            break;
        }
        if *level.get_or_insert(indent) != indent {
            continue;
        }
        let trimmed = trimmed.trim_start_matches(['"', '\'']);
        if trimmed.strip_prefix(**key).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).starts_with(':')) {
            best = number + 1;
            floor = Some(indent);
            level = None;
            wanted.next();
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_line_of_a_path_of_keys() {
        let text = "a:\n  b: 1\n  c: {d: 2}\n# a comment\ne:\n  b: 3\n";
        assert_eq!(line_of(text, &["a", "b"]), 2);
        assert_eq!(line_of(text, &["a", "c", "d"]), 3);
        assert_eq!(line_of(text, &["e", "b"]), 6);
        assert_eq!(line_of(text, &["a", "missing"]), 1);
        // A key of the same name further in is another one.
        assert_eq!(line_of("a:\n  b:\n    c: 1\n  c: 2\n", &["a", "c"]), 4);
    }
}
