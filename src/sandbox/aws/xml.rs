//! XML as AWS speaks it: small trees of elements, without comments, document types or mixed content.

use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer, XmlVersion};
use serde::{Deserialize, Serialize};

/// No document is nested deeper.
const MAX_DEPTH: usize = 32;

/// An element: its text, or the elements within it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Element {
    /// Its name, without a prefix.
    #[serde(rename = "n")]
    pub(super) name: String,
    /// Its attributes; a namespace is one of them.
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) attributes: Vec<(String, String)>,
    /// Its text.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub(super) text: String,
    /// The elements within it.
    #[serde(rename = "c", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) children: Vec<Element>,
}

/// The text is not XML, or not of the plain kind that AWS takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotXml;

impl Element {
    /// An empty element.
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// An element that holds text.
    pub(super) fn leaf(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: text.into(), ..Self::default() }
    }

    /// Adds an attribute.
    pub(super) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an element.
    pub(super) fn with(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// Adds elements.
    pub(super) fn with_all(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children);
        self
    }

    /// Adds an element that holds text.
    pub(super) fn text(self, name: &str, text: impl Into<String>) -> Self {
        self.with(Self::leaf(name, text))
    }

    /// Adds an element that holds text, if there is any.
    pub(super) fn maybe(self, name: &str, text: Option<impl Into<String>>) -> Self {
        match text {
            Some(text) => self.text(name, text),
            None => self,
        }
    }

    /// The first element of that name within.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first element of that name within.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// All elements of that name within.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The whole document.
    pub(super) fn document(&self) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.render())
    }

    /// The element alone.
    pub(super) fn render(&self) -> String {
        let mut writer = Writer::new(Vec::new());
        // Writing to memory does not fail.
        let _ = self.write(&mut writer);
        String::from_utf8(writer.into_inner()).unwrap_or_default()
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut start = BytesStart::new(self.name.as_str());
        for (name, value) in &self.attributes {
            start.push_attribute((name.as_str(), value.as_str()));
        }
        if self.text.is_empty() && self.children.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        if !self.text.is_empty() {
            writer.write_event(Event::Text(BytesText::new(&self.text)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str())))
    }
}

/// Reads a document.
pub(super) fn parse(text: &[u8]) -> Result<Element, NotXml> {
    let text = std::str::from_utf8(text).map_err(|_| NotXml)?;
    let mut reader = Reader::from_str(text);
    // The elements that are open, the root first.
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        match reader.read_event().map_err(|_| NotXml)? {
            Event::Start(start) if root.is_none() && open.len() < MAX_DEPTH => open.push(started(&start)?),
            Event::Empty(start) if root.is_none() => close(started(&start)?, &mut open, &mut root),
            Event::End(_) => {
                let done = open.pop().ok_or(NotXml)?;
                close(done, &mut open, &mut root);
            }
            Event::Text(text) => add_text(&text.xml_content(XmlVersion::Implicit1_0), &mut open)?,
            Event::CData(text) => add_text(&text.xml_content(XmlVersion::Implicit1_0), &mut open)?,
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().map_err(|_| NotXml)? {
                    Some(character) => character.to_string(),
                    None => {
                        quick_xml::escape::resolve_predefined_entity(&reference).ok_or(NotXml)?.to_owned()
                    }
                };
                open.last_mut().ok_or(NotXml)?.text.push_str(&text);
            }
            Event::Decl(_) | Event::Comment(_) => {}
            Event::Eof if open.is_empty() => return root.ok_or(NotXml),
            Event::Start(_) | Event::Empty(_) | Event::DocType(_) | Event::PI(_) | Event::Eof => {
                return Err(NotXml);
            }
        }
    }
}

fn started(start: &BytesStart<'_>) -> Result<Element, NotXml> {
    let mut element = Element::new(start.local_name().as_ref());
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| NotXml)?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| NotXml)?;
        element.attributes.push((attribute.key.as_ref().to_owned(), value.into_owned()));
    }
    Ok(element)
}

fn add_text(text: &str, open: &mut [Element]) -> Result<(), NotXml> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(NotXml),
    }
    Ok(())
}

fn close(mut done: Element, open: &mut [Element], root: &mut Option<Element>) {
    if !done.children.is_empty() && done.text.trim().is_empty() {
        // The white space between elements.
        done.text.clear();
    }
    match open.last_mut() {
        Some(parent) => parent.children.push(done),
        None => *root = Some(done),
    }
}
