//! All facts and descriptors of a build, opened at once and decoded when asked for.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock, OnceLock};

use crate::api::Service;
use crate::index::{Index, PackError};
use crate::partition::Partition;
use crate::surface::Surface;
use crate::text::{ParseError, parse_partitions, parse_service, parse_surfaces};

/// The section with AWS partitions.
const PARTITIONS: &str = "aws-partitions";

/// An opened catalogue. Opening reads the index only; a section is decoded on first use and then kept.
#[derive(Debug)]
pub struct Catalog {
    file: Cow<'static, [u8]>,
    /// Where the frames start in `file`.
    frames: usize,
    index: Index,
    /// One cell for each entry of the index.
    cells: Vec<OnceLock<Section>>,
}

/// A decoded section.
#[derive(Debug)]
enum Section {
    Service(Arc<Service>),
    Surfaces(Vec<Arc<Surface>>),
    Partitions(Vec<Partition>),
    Descriptor(String),
}

/// Why the catalogue did not give what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("the catalogue has no {what} `{name}`")]
    Unknown { what: &'static str, name: String },
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the catalogue does not parse: {0}")]
    Parse(#[from] ParseError),
}

impl Catalog {
    /// The catalogue that this build embeds.
    pub fn builtin() -> &'static Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(|| {
            let file: &'static [u8] = include_bytes!(concat!(env!("OUT_DIR"), "/catalog.pack"));
            Catalog::open(file).expect("the build script wrote this catalogue in this very format")
        });
        &BUILTIN
    }

    /// Opens a catalogue file, as `xtask facts pack` writes it.
    pub fn open(file: impl Into<Cow<'static, [u8]>>) -> Result<Self, PackError> {
        let file = file.into();
        let (index, frames) = Index::read(&file)?;
        let frames = file.len() - frames.len();
        let cells = index.entries.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { file, frames, index, cells })
    }

    /// SHA-256 over names and texts of all sections: the same whatever compressed them.
    pub fn digest(&self) -> &[u8; 32] {
        &self.index.digest
    }

    /// An AWS service by our name for it, for example `sqs`.
    pub fn service(&self, name: &str) -> Result<Arc<Service>, CatalogError> {
        match self.section(&format!("aws/{name}"))? {
            Some(Section::Service(service)) => Ok(Arc::clone(service)),
            _ => Err(CatalogError::Unknown { what: "AWS service", name: name.to_owned() }),
        }
    }

    /// Names of all AWS services, sorted.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.names("aws/")
    }

    /// All AWS partitions.
    pub fn partitions(&self) -> Result<&[Partition], CatalogError> {
        match self.section(PARTITIONS)? {
            Some(Section::Partitions(partitions)) => Ok(partitions),
            _ => Err(CatalogError::Unknown { what: "section", name: PARTITIONS.to_owned() }),
        }
    }

    /// The surface of a kind, for example of `sqs.services.k8s.aws` and `Queue`.
    pub fn surface(&self, group: &str, kind: &str) -> Result<Arc<Surface>, CatalogError> {
        let page = group.split('.').next().unwrap_or(group);
        self.page(page)?
            .iter()
            .find(|surface| surface.group == group && surface.kind == kind)
            .cloned()
            .ok_or_else(|| CatalogError::Unknown { what: "kind", name: format!("{kind}.{group}") })
    }

    /// The surfaces of the kinds of a group, sorted by kind; none when nothing is published there.
    pub fn surfaces_of(&self, group: &str) -> Result<Vec<Arc<Surface>>, CatalogError> {
        let page = group.split('.').next().unwrap_or(group);
        Ok(self.page(page)?.iter().filter(|surface| surface.group == group).cloned().collect())
    }

    /// The surfaces of all kinds, sorted by page and kind. Decodes every page.
    pub fn surfaces(&self) -> Result<Vec<Arc<Surface>>, CatalogError> {
        let mut all = Vec::new();
        for page in self.names("ack/") {
            all.extend(self.page(page)?.iter().cloned());
        }
        Ok(all)
    }

    /// The text of a descriptor by the stem of its file: `sqs` for `kinds/aws/sqs.yaml`.
    pub fn descriptor(&self, name: &str) -> Result<&str, CatalogError> {
        match self.section(&format!("kinds/{name}"))? {
            Some(Section::Descriptor(text)) => Ok(text),
            _ => Err(CatalogError::Unknown { what: "descriptor", name: name.to_owned() }),
        }
    }

    /// Names of all descriptors, sorted.
    pub fn descriptors(&self) -> impl Iterator<Item = &str> {
        self.names("kinds/")
    }

    /// Surfaces of one page; none when there is no such page.
    fn page(&self, name: &str) -> Result<&[Arc<Surface>], CatalogError> {
        match self.section(&format!("ack/{name}"))? {
            Some(Section::Surfaces(surfaces)) => Ok(surfaces),
            _ => Ok(&[]),
        }
    }

    fn names(&self, folder: &'static str) -> impl Iterator<Item = &str> {
        self.index.entries.iter().filter_map(move |entry| entry.name.strip_prefix(folder))
    }

    /// A section, decoded on first use. Two threads may decode it at once; one result is kept.
    fn section(&self, name: &str) -> Result<Option<&Section>, CatalogError> {
        let Some(at) = self.index.position(name) else { return Ok(None) };
        let (entry, cell) = (&self.index.entries[at], &self.cells[at]);
        if let Some(section) = cell.get() {
            return Ok(Some(section));
        }
        let section = decode(name, entry.text(&self.file[self.frames..])?)?;
        Ok(Some(cell.get_or_init(|| section)))
    }
}

fn decode(name: &str, text: String) -> Result<Section, ParseError> {
    // As the file is called in the repository, so that an error leads there.
    let file = format!("facts/{name}.txt");
    Ok(match name.split('/').next() {
        Some("aws") => Section::Service(Arc::new(parse_service(&file, &text)?)),
        Some("ack") => Section::Surfaces(parse_surfaces(&file, &text)?.into_iter().map(Arc::new).collect()),
        Some("kinds") => Section::Descriptor(text),
        Some(PARTITIONS) => Section::Partitions(parse_partitions(&file, &text)?),
        _ => return Err(ParseError { file, line: 0, message: "not a page that this program knows".to_owned() }),
    })
}
