//! YAML 1.2 -> [`Node`]s with their places.
//!
//! Strict where people get hurt: keys are texts and stand once, only `true` and `false` are booleans, a file is
//! one document, tags of other tools are refused. Everything has a bound, counted after aliases are followed.

use std::collections::BTreeMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::node::{Entry, Kind, Node};
use super::report::{Report, wrong};
use super::scalar;
use super::scope::poison;
use super::text::{Mark, Place, Text};

/// The size of a file, in bytes.
pub(super) const BYTES: usize = 1 << 20;
/// How deep lists and maps may nest.
const DEPTH: usize = 64;
/// How many values a file may hold, those that aliases repeat included.
const NODES: usize = 50_000;

/// Reads one document. `None` after an error from which there is no going on; the report has it.
pub(super) fn read(text: &Arc<Text>, report: &mut Report) -> Option<Node> {
    if let Some(at) = text.as_str().find(|c| !is_printable(c)) {
        let place = text.character(at);
        let code = place.raw().chars().next().map_or(0, u32::from);
        let summary = format!("the character U+{code:04X} may not stand in YAML");
        report.error(
            &place,
            summary,
            "remove it, or write it as an escape in double quotes, such as `\\u001b`",
        );
        return None;
    }
    let mut builder =
        Builder { text, report, open: Vec::new(), anchors: BTreeMap::new(), nodes: 0, root: None };
    let mut parser = Parser::new_from_str(text.as_str());
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                builder.scan_error(&error);
                return None;
            }
        };
        let place = place(text, span);
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                builder.report.error(
                    &place,
                    "a second document begins here; the file is to hold one",
                    "remove the `---`, or move what follows to a file of its own",
                );
                return None;
            }
        }
        if !builder.take(event, place) {
            return None;
        }
    }
    builder.root
}

/// What YAML 1.2 lets a file hold: no control characters but tabs and line breaks.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// saphyr counts lines from 1 and columns from 0.
fn place(text: &Arc<Text>, span: Span) -> Place {
    let mark = |mark: saphyr_parser::Marker| Mark { line: mark.line(), column: mark.col() + 1 };
    text.place(mark(span.start), mark(span.end))
}

/// Puts events together.
struct Builder<'a> {
    text: &'a Arc<Text>,
    report: &'a mut Report,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// A list or map whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// The lines of the keys that stand already.
        keys: BTreeMap<String, usize>,
        /// The key that waits for its value.
        key: Option<Key>,
        /// What `<<` brings in.
        merged: Vec<Entry>,
    },
}

enum Key {
    Named(String, Place),
    Merge(Place),
    /// Not usable; its value is dropped.
    Bad,
}

impl Builder<'_> {
    /// Takes an event in; false if there is no going on.
    fn take(&mut self, event: Event<'_>, place: Place) -> bool {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => true,
            Event::Alias(anchor) => self.alias(anchor, &place),
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let merge = plain && text == "<<";
                match self.scalar(&text, style, tag.as_deref(), &place) {
                    Some(kind) => self.complete(Node::new(kind, place), anchor, merge),
                    None => self.complete(poison(&place), anchor, false),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "seq", &place);
                self.begin(place, anchor, Inside::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag.as_deref(), "map", &place);
                let (entries, keys, merged) = (Vec::new(), BTreeMap::new(), Vec::new());
                self.begin(place, anchor, Inside::Map { entries, keys, key: None, merged })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&place),
        }
    }

    fn begin(&mut self, place: Place, anchor: usize, inside: Inside) -> bool {
        if self.open.len() >= DEPTH {
            let summary = format!("lists and maps nest deeper than {DEPTH} levels");
            self.report.error(&place, summary, "flatten this part of the file");
            return false;
        }
        self.open.push(Open { place, anchor, inside });
        true
    }

    /// The end of a list or map: it becomes a value of what is around it.
    fn end(&mut self, end: &Place) -> bool {
        let Some(Open { place, anchor, inside }) = self.open.pop() else { return true };
        let kind = match inside {
            Inside::List(items) => Kind::List(items),
            Inside::Map { mut entries, mut keys, merged, .. } => {
                for entry in merged {
                    if keys.insert(entry.key.clone(), entry.key_place.line()).is_none() {
                        entries.push(entry);
                    }
                }
                Kind::Map(entries)
            }
        };
        self.complete(Node::new(kind, place.to(end)), anchor, false)
    }

    /// A value is whole: into the list or map around it, or to the root.
    fn complete(&mut self, node: Node, anchor: usize, merge: bool) -> bool {
        self.nodes += 1;
        if !self.within_budget(&node.place) {
            return false;
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { keys, key: key @ None, .. }) => {
                *key = Some(if merge { Key::Merge(node.place) } else { text_key(node, keys, self.report) });
            }
            Some(Inside::Map { entries, key, merged, .. }) => match key.take() {
                Some(Key::Named(key, key_place)) => entries.push(Entry { key, key_place, value: node }),
                Some(Key::Merge(place)) => merge_in(node, &place, merged, self.report),
                Some(Key::Bad) | None => {}
            },
        }
        true
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> bool {
        let Some(size) = self.anchors.get(&anchor).map(Node::size) else {
            let hint = "an alias can only repeat what is complete above it";
            self.report.error(place, "this alias stands inside of what it is to repeat", hint);
            return false;
        };
        // Counted before it is copied: aliases of aliases grow fast.
        self.nodes += size;
        if !self.within_budget(place) {
            return false;
        }
        match self.anchors.get(&anchor).cloned() {
            Some(node) => self.complete(node, 0, false),
            None => false,
        }
    }

    fn within_budget(&mut self, place: &Place) -> bool {
        if self.nodes > NODES {
            let summary =
                format!("the file holds more than {NODES} values, those repeated by aliases included");
            self.report.error(place, summary, "split the stack, or repeat less");
        }
        self.nodes <= NODES
    }

    /// What a scalar means; `None` if it is wrong.
    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, place: &Place) -> Option<Kind> {
        let resolved = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(Kind::Text(text.to_owned())),
            Some(tag) if tag.handle == "!" && tag.suffix.is_empty() => Ok(Kind::Text(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text),
            Some(tag) => {
                self.foreign_tag(tag, place);
                return None;
            }
        };
        resolved
            .map_err(|why| self.report.push(wrong(place, why).hint("write it in quotes to make it a text")))
            .ok()
    }

    fn collection_tag(&mut self, tag: Option<&Tag>, allowed: &str, place: &Place) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix == allowed)
        {
            self.foreign_tag(tag, place);
        }
    }

    fn foreign_tag(&mut self, tag: &Tag, place: &Place) {
        let hint = match tag.suffix.as_str() {
            "Ref" | "GetAtt" | "Sub" => "write `${name.Attribute}` inside a text instead",
            _ => "remove the tag; text that begins with `!` belongs in quotes",
        };
        self.report.error(place, format!("the tag `{tag}` means nothing here"), hint);
    }

    fn scan_error(&mut self, error: &ScanError) {
        let marker = error.marker();
        let mark = Mark { line: marker.line(), column: marker.col() + 1 };
        let (summary, hint) = scalar::explain(error.info());
        let place = self.text.place(mark, mark);
        self.report.push(wrong(&place, summary).hint(hint));
    }
}

/// A key is a text and stands once.
fn text_key(node: Node, keys: &mut BTreeMap<String, usize>, report: &mut Report) -> Key {
    let key = match node.kind {
        Kind::Text(text) => text,
        Kind::Bool(_) | Kind::Number(_) => {
            let raw = node.place.raw().trim();
            let summary = format!("a key is to be a text, but this is {}", node.describe());
            report.error(&node.place, summary, format!("write it in quotes: `\"{raw}\":`"));
            return Key::Bad;
        }
        // Wrong in itself, which was told.
        Kind::Unknown(_) | Kind::Secret(_) => return Key::Bad,
        Kind::Null | Kind::List(_) | Kind::Map(_) => {
            let summary = format!("a key is to be a text, but this is {}", node.describe());
            let hint = "a `{{ … }}` without quotes is a map in YAML: put texts with braces in quotes";
            let hint = if node.is_null() { "write the key before the `:`" } else { hint };
            report.error(&node.place, summary, hint.replace("{{ … }}", "{ … }"));
            return Key::Bad;
        }
    };
    if let Some(first) = keys.get(&key) {
        let summary = format!("the key `{key}` stands here for the second time");
        let hint = format!("it stands first on line {first}: keep one of the two");
        report.error(&node.place, summary, hint);
        return Key::Bad;
    }
    keys.insert(key.clone(), node.place.line());
    Key::Named(key, node.place)
}

/// `<<: *base` or `<<: [*one, *two]`: earlier ones win over later ones, and the map's own keys over all.
fn merge_in(node: Node, place: &Place, merged: &mut Vec<Entry>, report: &mut Report) {
    let maps = match node.kind {
        Kind::List(items) => items,
        Kind::Map(_) => vec![node],
        Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::Secret(_) | Kind::Unknown(_) => {
            let summary = format!("`<<` merges a map, but this is {}", node.describe());
            report.error(&node.place, summary, "give it an alias of a map: `<<: *name`");
            return;
        }
    };
    for map in maps {
        let Kind::Map(entries) = map.kind else {
            let summary = format!("`<<` merges maps, but this is {}", map.describe());
            report.error(place, summary, "give it aliases of maps: `<<: [*one, *two]`");
            return;
        };
        merged.extend(entries);
    }
}
