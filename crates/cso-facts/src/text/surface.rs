//! Pages of Kubernetes surfaces.

use super::ParseError;
use super::line::{Line, Page, lines, name_in};
use crate::surface::{Column, FieldFacts, Reference, Schema, SchemaType, Surface};

const TYPES: [(&str, SchemaType); 6] = [
    ("object", SchemaType::Object),
    ("array", SchemaType::Array),
    ("string", SchemaType::String),
    ("integer", SchemaType::Integer),
    ("number", SchemaType::Number),
    ("boolean", SchemaType::Boolean),
];

/// Names of the nested schemas that are not properties.
const ITEMS: &str = "[]";
const ADDITIONAL: &str = "*";

/// Deepest nesting that is read; published schemas stay below 20, and recursion must end somewhere.
const MAX_DEPTH: usize = 64;

/// Writes surfaces in the order given.
pub fn print_surfaces(surfaces: &[Surface]) -> String {
    let mut page = Page::default();
    for surface in surfaces {
        page.gap();
        print_surface(&mut page, surface);
    }
    page.finish()
}

fn print_surface(page: &mut Page, surface: &Surface) {
    page.line(0, "surface")
        .value(&surface.group)
        .value(&surface.version)
        .value(&surface.kind)
        .attribute("list", Some(&surface.list_kind))
        .attribute("plural", Some(&surface.plural))
        .attribute("singular", Some(&surface.singular))
        .list("short", &surface.short_names)
        .flag("cluster", !surface.namespaced);
    if let Some(code) = &surface.not_found_code {
        page.line(1, "not-found").value(code);
    }
    if !surface.terminal_codes.is_empty() {
        page.line(1, "terminal").values(&surface.terminal_codes);
    }
    for column in &surface.columns {
        let priority = (column.priority > 0).then(|| column.priority.to_string());
        page.line(1, "column")
            .value(&column.name)
            .value(&column.column_type)
            .value(&column.json_path)
            .attribute("priority", priority.as_deref());
    }
    for (path, facts) in &surface.fields {
        print_field(page, path, facts);
    }
    for (name, schema) in [("spec", &surface.spec), ("status", &surface.status)] {
        print_schema(page, 1, name, schema, false);
    }
}

fn print_field(page: &mut Page, path: &str, facts: &FieldFacts) {
    let line = page.line(1, "field").value(path);
    for (name, set) in flags(&mut facts.clone()) {
        line.flag(name, *set);
    }
    if let Some(reference) = &facts.reference {
        page.line(2, "reference")
            .value(&reference.field)
            .value(&reference.service)
            .value(&reference.kind)
            .value(&reference.path);
    }
}

/// Every flag of a field with its word.
fn flags(facts: &mut FieldFacts) -> [(&'static str, &mut bool); 8] {
    [
        ("late-initialize", &mut facts.late_initialize),
        ("immutable", &mut facts.immutable),
        ("read-only", &mut facts.read_only),
        ("primary-key", &mut facts.primary_key),
        ("iam-policy", &mut facts.iam_policy),
        ("document", &mut facts.document),
        ("secret", &mut facts.secret),
        ("attribute", &mut facts.attribute),
    ]
}

fn print_schema(page: &mut Page, depth: usize, name: &str, schema: &Schema, required: bool) {
    page.line(depth, name)
        .value(name_in(&TYPES, &schema.schema_type))
        .flag("required", required)
        .flag("immutable", schema.immutable)
        .flag("atomic", schema.atomic)
        .flag("preserve-unknown", schema.preserve_unknown)
        .attribute("format", schema.format.as_deref());
    for value in &schema.values {
        page.line(depth + 1, "=").value(value);
    }
    for (name, nested) in [(ITEMS, &schema.items), (ADDITIONAL, &schema.additional)] {
        if let Some(nested) = nested {
            print_schema(page, depth + 1, name, nested, false);
        }
    }
    for (name, property) in &schema.properties {
        print_schema(page, depth + 1, name, property, schema.required.contains(name));
    }
}

/// Reads a page of surfaces; `file` names it in errors.
pub fn parse_surfaces(file: &str, text: &str) -> Result<Vec<Surface>, ParseError> {
    let all = lines(file, text).collect::<Result<Vec<_>, _>>()?;
    let mut cursor = Cursor { lines: all.into_iter().peekable() };
    let mut surfaces = Vec::new();
    while let Some(mut line) = cursor.lines.next() {
        if (line.depth, &*line.value("a keyword")?) != (0, "surface") {
            return Err(line.error("expected `surface`"));
        }
        let mut surface = head(&mut line)?;
        while let Some(line) = cursor.at(1) {
            detail(&mut surface, line, &mut cursor)?;
        }
        surfaces.push(surface);
    }
    Ok(surfaces)
}

struct Cursor<'a> {
    lines: std::iter::Peekable<std::vec::IntoIter<Line<'a>>>,
}

impl<'a> Cursor<'a> {
    /// The next line if it is this deep or, by mistake, deeper.
    fn at(&mut self, depth: usize) -> Option<Line<'a>> {
        self.lines.next_if(|line| line.depth >= depth)
    }
}

fn head(line: &mut Line<'_>) -> Result<Surface, ParseError> {
    let mut surface = Surface {
        group: line.string("the group")?,
        version: line.string("the version")?,
        kind: line.string("the kind")?,
        namespaced: true,
        ..Surface::default()
    };
    while let Some(key) = line.attribute() {
        match key {
            "list" => surface.list_kind = line.attribute_string(key)?,
            "plural" => surface.plural = line.attribute_string(key)?,
            "singular" => surface.singular = line.attribute_string(key)?,
            "short" => surface.short_names = line.attribute_list(key)?,
            "cluster" => surface.namespaced = false,
            _ => return Err(line.unknown_attribute(key)),
        }
    }
    Ok(surface)
}

fn detail(surface: &mut Surface, mut line: Line<'_>, cursor: &mut Cursor<'_>) -> Result<(), ParseError> {
    if line.depth != 1 {
        return Err(line.error("indented too far"));
    }
    match &*line.value("a keyword")? {
        "not-found" => surface.not_found_code = Some(line.string("the code")?),
        "terminal" => surface.terminal_codes = line.strings("a code")?,
        "column" => surface.columns.push(column(&mut line)?),
        "field" => {
            let (path, facts) = field(line, cursor)?;
            surface.fields.insert(path, facts);
            return Ok(());
        }
        "spec" => {
            (surface.spec, _) = schema(line, cursor)?;
            return Ok(());
        }
        "status" => {
            (surface.status, _) = schema(line, cursor)?;
            return Ok(());
        }
        keyword => return Err(line.error(format!("unknown keyword `{keyword}`"))),
    }
    line.end()
}

fn column(line: &mut Line<'_>) -> Result<Column, ParseError> {
    let mut column = Column {
        name: line.string("the name")?,
        column_type: line.string("the type")?,
        json_path: line.string("the path")?,
        priority: 0,
    };
    while let Some(key) = line.attribute() {
        if key != "priority" {
            return Err(line.unknown_attribute(key));
        }
        let priority = line.attribute_value(key)?;
        column.priority = priority.parse().map_err(|_| line.error(format!("bad priority `{priority}`")))?;
    }
    Ok(column)
}

fn field(mut line: Line<'_>, cursor: &mut Cursor<'_>) -> Result<(String, FieldFacts), ParseError> {
    let path = line.string("the path")?;
    let mut facts = FieldFacts::default();
    while let Some(key) = line.attribute() {
        let found = flags(&mut facts).into_iter().find(|(name, _)| *name == key);
        *found.ok_or_else(|| line.unknown_attribute(key))?.1 = true;
    }
    while let Some(mut line) = cursor.at(2) {
        if (line.depth, &*line.value("a keyword")?) != (2, "reference") {
            return Err(line.error("expected `reference`"));
        }
        facts.reference = Some(Reference {
            field: line.string("the field")?,
            service: line.string("the service")?,
            kind: line.string("the kind")?,
            path: line.string("the path")?,
        });
        line.end()?;
    }
    Ok((path, facts))
}

/// The schema that starts at a line whose name was read, and whether its parent requires it.
fn schema(mut line: Line<'_>, cursor: &mut Cursor<'_>) -> Result<(Schema, bool), ParseError> {
    if line.depth > MAX_DEPTH {
        return Err(line.error("nested too deep"));
    }
    let name = line.value("the type")?;
    let mut schema = Schema { schema_type: line.lookup(&TYPES, "type", &name)?, ..Schema::default() };
    let mut is_required = false;
    while let Some(key) = line.attribute() {
        match key {
            "required" => is_required = true,
            "immutable" => schema.immutable = true,
            "atomic" => schema.atomic = true,
            "preserve-unknown" => schema.preserve_unknown = true,
            "format" => schema.format = Some(line.attribute_string(key)?),
            _ => return Err(line.unknown_attribute(key)),
        }
    }
    let depth = line.depth + 1;
    while let Some(mut line) = cursor.at(depth) {
        if line.depth != depth {
            return Err(line.error("indented too far"));
        }
        let name = line.string("a name")?;
        if name == "=" {
            schema.values.push(line.string("the value")?);
            line.end()?;
            continue;
        }
        let (nested, required) = self::schema(line, cursor)?;
        match name.as_str() {
            ITEMS => schema.items = Some(Box::new(nested)),
            ADDITIONAL => schema.additional = Some(Box::new(nested)),
            _ => {
                if required {
                    schema.required.insert(name.clone());
                }
                schema.properties.insert(name, nested);
            }
        }
    }
    Ok((schema, is_required))
}
