//! Pages of AWS partitions.

use super::ParseError;
use super::line::{Page, lines};
use crate::partition::Partition;

/// Writes partitions in the order given.
pub fn print_partitions(partitions: &[Partition]) -> String {
    let mut page = Page::default();
    for partition in partitions {
        page.line(0, "partition").value(&partition.name).value(&partition.dns_suffix).value(&partition.global_region);
        page.line(1, "prefixes").values(&partition.prefixes);
        for region in &partition.regions {
            page.line(1, "region").value(region);
        }
    }
    page.finish()
}

/// Reads a page of partitions; `file` names it in errors.
pub fn parse_partitions(file: &str, text: &str) -> Result<Vec<Partition>, ParseError> {
    let mut partitions: Vec<Partition> = Vec::new();
    for line in lines(file, text) {
        let mut line = line?;
        match (line.depth, &*line.value("a keyword")?, partitions.last_mut()) {
            (0, "partition", _) => partitions.push(Partition {
                name: line.string("the name")?,
                dns_suffix: line.string("the DNS suffix")?,
                global_region: line.string("the global region")?,
                prefixes: Vec::new(),
                regions: Vec::new(),
            }),
            (1, "prefixes", Some(partition)) => partition.prefixes = line.strings("a prefix")?,
            (1, "region", Some(partition)) => partition.regions.push(line.string("the region")?),
            (_, keyword, _) => return Err(line.error(format!("`{keyword}` is not expected here"))),
        }
        line.end()?;
    }
    Ok(partitions)
}
