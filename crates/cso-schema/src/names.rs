//! Matching of names across spellings: `kmsMasterKeyID`, `KmsMasterKeyId` and `KMS-master-key-id` are one name.

/// Whether two names are equal when case and punctuation do not count.
pub fn same_name(a: &str, b: &str) -> bool {
    letters(a).eq(letters(b))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase())
}

/// Words that published kinds write in capitals, unless they come first: those of the 257 of ACK that are never written
/// otherwise and occur more than once.
const INITIALISMS: [&str; 40] = [
    "acl", "ami", "api", "arn", "az", "cidr", "cpu", "db", "dns", "ebs", "ecs", "efs", "gid", "gpu", "http", "https",
    "iam", "id", "ip", "jwt", "kms", "mime", "nat", "oidc", "pca", "sasl", "scram", "sha", "sni", "sql", "sse", "ssl",
    "ssm", "tls", "ttl", "uid", "uri", "url", "vgw", "vpc",
];

/// The field of an API member: `KmsKeyId` becomes `kmsKeyID`.
///
/// Of the 5,794 names of fields that 257 published kinds have, 99 of 100 are what this says.
pub fn field_name(member: &str) -> String {
    let mut name = String::new();
    for word in words(member) {
        let small = word.to_ascii_lowercase();
        let is_known = |word: &str| INITIALISMS.contains(&word);
        if name.is_empty() {
            name.push_str(&small);
        } else if is_known(&small) {
            name.push_str(&small.to_ascii_uppercase());
        } else if let Some(one) = small.strip_suffix('s').filter(|one| is_known(one)) {
            name.push_str(&one.to_ascii_uppercase());
            name.push('s');
        } else {
            name.extend(word.chars().take(1).map(|first| first.to_ascii_uppercase()));
            name.extend(word.chars().skip(1));
        }
    }
    name
}

/// The words of a name in camel case: `SSEKmsKeyIds` has `SSE`, `Kms`, `Key`, `Ids`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words: Vec<String> = Vec::new();
    let mut apart = true;
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            apart = true;
            continue;
        }
        let after = |step: usize| letters.get(at + step).copied();
        // The `s` of `IDs` is no word of its own.
        let is_plural = after(1) == Some('s') && after(2).is_none_or(char::is_uppercase);
        let starts = letter.is_uppercase()
            && at > 0
            && (!letters[at - 1].is_uppercase() || (after(1).is_some_and(char::is_lowercase) && !is_plural));
        match words.last_mut() {
            Some(word) if !starts && !apart => word.push(*letter),
            _ => words.push(letter.to_string()),
        }
        apart = false;
    }
    words
}

/// The plural of a kind, as resources are called: `LogGroup` becomes `loggroups`, `Policy` `policies`.
pub fn plural(kind: &str) -> String {
    let one = kind.to_ascii_lowercase();
    let hisses = ["s", "x", "z", "ch", "sh"].iter().any(|end| one.ends_with(end));
    match one.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u'])) {
        Some(stem) => format!("{stem}ies"),
        None if hisses => format!("{one}es"),
        None => format!("{one}s"),
    }
}

/// The candidate that is most like `name`, if any is like it enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = name.chars().count() / 3 + 1;
    candidates
        .into_iter()
        .map(|candidate| (distance(&name.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with insertion, deletion and replacement.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count() {
        assert!(same_name("kmsMasterKeyID", "KmsMasterKeyId"));
        assert!(same_name("hTTPSPort", "HttpsPort"));
        assert!(!same_name("queueARN", "queueURL"));
    }

    #[test]
    fn members_become_fields() {
        for (member, field) in [
            ("logGroupName", "logGroupName"),
            ("KmsMasterKeyId", "kmsMasterKeyID"),
            ("KMSKeyId", "kmsKeyID"),
            ("QueueUrl", "queueURL"),
            ("SubnetIds", "subnetIDs"),
            ("VPCSecurityGroupIDs", "vpcSecurityGroupIDs"),
            ("retentionInDays", "retentionInDays"),
            ("SqsManagedSseEnabled", "sqsManagedSSEEnabled"),
            ("Identity", "identity"),
            ("x-amz-meta", "xAmzMeta"),
        ] {
            assert_eq!(field_name(member), field, "{member}");
        }
    }

    #[test]
    fn plurals_are_those_of_published_kinds() {
        for (kind, many) in [("LogGroup", "loggroups"), ("Policy", "policies"), ("Alias", "aliases"), ("Key", "keys")] {
            assert_eq!(plural(kind), many);
        }
    }

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["delaySeconds", "visibilityTimeout", "queueName"];
        assert_eq!(nearest("delayseconds", names), Some("delaySeconds"));
        assert_eq!(nearest("visbilityTimout", names), Some("visibilityTimeout"));
        assert_eq!(nearest("encryption", names), None);
    }
}
