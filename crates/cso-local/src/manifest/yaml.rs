//! YAML to JSON values, with the place of every part.
//!
//! The types are those of the YAML 1.2 core schema. What older YAML reads differently (`<<`, numbers with a leading zero)
//! is refused, because the file means one thing here and another to `kubectl`. The work and memory that a document can
//! cause are bounded by its size limit, also when it is built of aliases.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use cso_core::path::Segment;
use cso_core::{FieldPath, ObjectKey};
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::{Position, Problem};

/// Levels of nesting: what `serde_json` allows.
const MAX_DEPTH: usize = 128;

/// Bytes of all values of a document with its aliases written out, where each value counts `NODE` bytes more.
const MAX_WEIGHT: usize = 64 << 20;
const NODE: usize = 32;

/// One document of a stream.
pub(super) struct Document {
    /// `None` when it could not be read to its end.
    pub(super) node: Option<Node>,
    pub(super) faults: Vec<Fault>,
}

/// A value and where its parts are.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) places: Places,
}

/// Where a value is, and where its parts are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    at: Position,
    parts: Parts,
}

#[derive(Clone, Debug)]
enum Parts {
    None,
    /// By name: where the name is, and the value.
    Members(BTreeMap<String, (Position, Places)>),
    Elements(Vec<Places>),
}

/// Something that YAML or JSON does not allow.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Position,
    message: String,
    help: Option<String>,
}

impl Fault {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn into_problem(self, file: &Path, object: Option<ObjectKey>) -> Problem {
        Problem { object, help: self.help, ..Problem::at(file, self.at, self.message) }
    }
}

impl Places {
    /// Where the value begins.
    pub(super) fn begin(&self) -> Position {
        self.at
    }

    /// The place of a field, or of the innermost enclosing one that is there. Members are found by their name.
    pub(super) fn find(&self, path: &FieldPath) -> Position {
        let (mut place, mut at) = (self, self.at);
        for segment in path.segments() {
            match (segment, &place.parts) {
                (Segment::Name(name), Parts::Members(members)) if members.contains_key(name) => {
                    let (key, inner) = &members[name];
                    (place, at) = (inner, *key);
                }
                (Segment::Index(index), Parts::Elements(elements)) if *index < elements.len() => {
                    place = &elements[*index];
                    at = place.at;
                }
                _ => break,
            }
        }
        at
    }

    /// Takes out the places of the elements of a member.
    pub(super) fn into_elements_of(self, name: &str) -> Vec<Self> {
        let Parts::Members(mut members) = self.parts else { return Vec::new() };
        match members.remove(name) {
            Some((_, Self { parts: Parts::Elements(elements), .. })) => elements,
            _ => Vec::new(),
        }
    }
}

/// The place behind a text.
pub(super) fn position(before: &str) -> Position {
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Reads all documents. After a syntax error reading goes on at the next `---`. Empty documents are left out.
pub(super) fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    let mut composer = Composer::new(Parser::new_from_str_with_options(text, options));
    let mut documents = Vec::new();
    loop {
        composer.begin();
        match composer.document() {
            Ok(Some(node)) if node.value.is_null() && composer.faults.is_empty() => {}
            Ok(Some(node)) => {
                documents.push(Document { node: Some(node), faults: std::mem::take(&mut composer.faults) });
            }
            Ok(None) => return documents,
            Err(fault) => {
                documents.push(Document { node: None, faults: vec![fault] });
                if !matches!(composer.parser.proceed_next_document(), Ok(true)) {
                    return documents;
                }
            }
        }
    }
}

struct Composer<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchored>,
    weight: usize,
    faults: Vec<Fault>,
}

/// A node that aliases may repeat.
struct Anchored {
    node: Node,
    weight: usize,
    height: usize,
}

/// A node just composed: `height` is 1 for a scalar.
struct Composed {
    node: Node,
    height: usize,
}

impl<'t> Composer<'t> {
    fn new(parser: Parser<'t, StrInput<'t>>) -> Self {
        Self { parser, anchors: HashMap::new(), weight: 0, faults: Vec::new() }
    }

    fn begin(&mut self) {
        self.anchors.clear();
        self.weight = 0;
        self.faults.clear();
    }

    /// The next document, or nothing at the end of the stream. A fault ends the document; lesser ones are collected.
    fn document(&mut self) -> Result<Option<Node>, Fault> {
        loop {
            let Some((event, span)) = self.next()? else { return Ok(None) };
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => return Ok(None),
                event => return Ok(Some(self.node(event, span, 1)?.node)),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Fault> {
        self.parser.next_event().transpose().map_err(|error| syntax(&error))
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Composed, Fault> {
        let at = place(span.start);
        if depth > MAX_DEPTH {
            return Err(Fault::new(at, format!("is nested more than {MAX_DEPTH} levels deep")));
        }
        let before = self.weight;
        let (anchor, composed) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.charge(at, text.len())?;
                let value = self.scalar(&text, style, tag.as_deref(), at);
                let node = Node { value, places: Places { at, parts: Parts::None } };
                (anchor, Composed { node, height: 1 })
            }
            Event::MappingStart(_, anchor, tag) => {
                self.charge(at, 0)?;
                self.check_tag(tag.as_deref(), "map", at);
                (anchor, self.mapping(at, depth)?)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.charge(at, 0)?;
                self.check_tag(tag.as_deref(), "seq", at);
                (anchor, self.sequence(at, depth)?)
            }
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            _ => return Err(Fault::new(at, "is not a value")),
        };
        if anchor != 0 {
            let weight = self.weight - before;
            self.spend(at, weight)?;
            self.anchors.insert(anchor, Anchored { node: composed.node.clone(), weight, height: composed.height });
        }
        Ok(composed)
    }

    fn mapping(&mut self, at: Position, depth: usize) -> Result<Composed, Fault> {
        let (mut map, mut members, mut height) = (Map::new(), BTreeMap::new(), 0);
        while let Some((event, span)) = self.next()? {
            let key_at = place(span.start);
            let name = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, 0, None) => {
                    if text == "<<" && style == ScalarStyle::Plain {
                        let fault = Fault::new(key_at, "merge keys (`<<`) are not part of YAML 1.2");
                        self.faults.push(fault.help("write the fields out"));
                    }
                    text.into_owned()
                }
                _ => return Err(Fault::new(key_at, "a name must be plain text")),
            };
            self.charge(key_at, name.len())?;
            let Some((event, span)) = self.next()? else { break };
            let Composed { node: Node { value, places }, height: inner } = self.node(event, span, depth + 1)?;
            height = height.max(inner);
            if let Some((first, _)) = members.get(&name) {
                let Position { line, .. } = first;
                let fault = Fault::new(key_at, format!("`{name}` is there twice, first in line {line}"));
                self.faults.push(fault.help("remove one of the two"));
                continue;
            }
            members.insert(name.clone(), (key_at, places));
            map.insert(name, value);
        }
        let places = Places { at, parts: Parts::Members(members) };
        Ok(Composed { node: Node { value: Value::Object(map), places }, height: height + 1 })
    }

    fn sequence(&mut self, at: Position, depth: usize) -> Result<Composed, Fault> {
        let (mut values, mut elements, mut height) = (Vec::new(), Vec::new(), 0);
        while let Some((event, span)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            let Composed { node: Node { value, places }, height: inner } = self.node(event, span, depth + 1)?;
            height = height.max(inner);
            values.push(value);
            elements.push(places);
        }
        let places = Places { at, parts: Parts::Elements(elements) };
        Ok(Composed { node: Node { value: Value::Array(values), places }, height: height + 1 })
    }

    /// A copy of an anchored node. Checked before it is made, since copies of copies grow exponentially.
    fn alias(&mut self, anchor: usize, at: Position, depth: usize) -> Result<Composed, Fault> {
        let Some(Anchored { weight, height, .. }) = self.anchors.get(&anchor) else {
            return Err(Fault::new(at, "an alias stands inside of what it repeats"));
        };
        let (weight, height) = (*weight, *height);
        if depth + height - 1 > MAX_DEPTH {
            return Err(Fault::new(at, format!("is nested more than {MAX_DEPTH} levels deep")));
        }
        self.spend(at, weight)?;
        let node = self.anchors[&anchor].node.clone();
        Ok(Composed { node, height })
    }

    fn charge(&mut self, at: Position, bytes: usize) -> Result<(), Fault> {
        self.spend(at, bytes + NODE)
    }

    fn spend(&mut self, at: Position, weight: usize) -> Result<(), Fault> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > MAX_WEIGHT {
            let message = format!("the document takes more than {} MiB from here on", MAX_WEIGHT >> 20);
            return Err(Fault::new(at, message).help("split it, or use fewer aliases"));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, at: Position) -> Value {
        let resolved = match tag.map(Tag::core_suffix) {
            None if style == ScalarStyle::Plain => plain(text),
            None | Some(Some("str")) => Ok(Value::String(text.to_owned())),
            Some(Some(name)) => match plain(text) {
                Ok(value) if is_of_type(&value, name) => Ok(value),
                _ => Err(("is not of the type that its tag says", "correct the value or remove the tag")),
            },
            Some(None) => Err(("its tag has no meaning here", "remove the tag")),
        };
        resolved.unwrap_or_else(|(message, help)| {
            self.faults.push(Fault::new(at, message).help(help));
            Value::Null
        })
    }

    fn check_tag(&mut self, tag: Option<&Tag>, expected: &str, at: Position) {
        if tag.is_some_and(|tag| tag.core_suffix() != Some(expected)) {
            self.faults.push(Fault::new(at, "its tag has no meaning here").help("remove the tag"));
        }
    }
}

/// Why a scalar has no value, and what to do. Never the scalar itself: it may stand in a Secret.
type Unresolved = (&'static str, &'static str);

const QUOTE: &str = "put it in quotes if it is a text";
const TOO_LARGE: Unresolved = ("is too large for a number", QUOTE);

/// The value of a plain scalar by the core schema.
fn plain(text: &str) -> Result<Value, Unresolved> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(("is not a number that JSON can hold", QUOTE));
    }
    let radix =
        [("0x", 16), ("0o", 8)].into_iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)));
    if let Some((digits, radix)) = radix
        && !digits.is_empty()
        && digits.chars().all(|digit| digit.is_digit(radix))
    {
        return u64::from_str_radix(digits, radix).map(Value::from).map_err(|_| TOO_LARGE);
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return integer(text, unsigned);
    }
    if is_float(unsigned) {
        let number = text.parse().ok().and_then(Number::from_f64);
        return number.map(Value::Number).ok_or(TOO_LARGE);
    }
    Ok(Value::String(text.to_owned()))
}

fn integer(text: &str, digits: &str) -> Result<Value, Unresolved> {
    if digits.len() > 1 && digits.starts_with('0') {
        let message = "a number with a leading zero is decimal in YAML 1.2, and octal or a text in older YAML";
        return Err((message, "put it in quotes if it is a text, else leave the zero out"));
    }
    let signed = text.strip_prefix('+').unwrap_or(text);
    signed.parse::<i64>().map(Value::from).or_else(|_| signed.parse::<u64>().map(Value::from)).map_err(|_| TOO_LARGE)
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(unsigned: &str) -> bool {
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent.is_none_or(|digits| !digits.is_empty() && are_digits(digits))
        && !(whole.is_empty() && fraction.is_empty())
        && are_digits(whole)
        && are_digits(fraction)
}

fn is_of_type(value: &Value, tag: &str) -> bool {
    match tag {
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        _ => false,
    }
}

fn syntax(error: &ScanError) -> Fault {
    Fault::new(place(*error.marker()), error.info())
}

fn place(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}
