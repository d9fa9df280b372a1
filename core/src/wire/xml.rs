//! XML-RPC as rpclib reads it: integers may come untyped, that is as text.

use super::call::Call;
use super::limits::Limits;
use super::malformed::Malformed;
use crate::interface::Value;
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};

pub(super) fn parse_call(text: &[u8], limits: &Limits) -> Result<Call, Malformed> {
    let mut parser = Parser::new(text, limits)?;
    parser.open(Element::MethodCall)?;
    parser.open(Element::MethodName)?;
    let method = parser.text()?.trim().to_owned();
    let mut params = Vec::new();
    if parser.opens(Element::Params)? {
        while parser.opens(Element::Param)? {
            parser.open(Element::Value)?;
            params.push(parser.value(limits.depth)?);
            parser.close()?;
        }
        parser.close()?;
    }
    parser.end()?;
    Ok(Call { method, params })
}

/// The value or the error that a response carries: in a `Status` struct, in a fault, or bare.
pub(super) fn parse_answer(text: &[u8], limits: &Limits) -> Result<Result<Value, Value>, Malformed> {
    let mut parser = Parser::new(text, limits)?;
    parser.open(Element::MethodResponse)?;
    let fault = match parser.tag()? {
        Tag::Open(Element::Fault) => true,
        Tag::Open(Element::Params) => {
            parser.open(Element::Param)?;
            false
        }
        other => return Err(parser.unexpected(other)),
    };
    parser.open(Element::Value)?;
    let value = parser.value(limits.depth)?;
    parser.close()?;
    if !fault {
        parser.close()?;
    }
    parser.close()?;
    parser.end()?;
    let member = |name| value.get(name).cloned();
    if fault {
        let parts = [Some(Value::String("fault".to_owned())), member("faultCode"), member("faultString")];
        return Ok(Err(Value::List(parts.into_iter().flatten().collect())));
    }
    match member("Status").as_ref().and_then(Value::as_str) {
        Some("Success") => member("Value").map(Ok).ok_or_else(|| Malformed("response has no Value".to_owned())),
        Some("Failure") => {
            member("ErrorDescription").map(Err).ok_or_else(|| Malformed("response has no ErrorDescription".to_owned()))
        }
        _ => Ok(Ok(value)),
    }
}

/// A tag; white space, comments and processing instructions are passed over.
#[derive(Clone, Copy)]
enum Tag {
    Open(Element),
    Close,
    End,
}

/// Declares the elements of XML-RPC, each by its name in the text.
macro_rules! elements {
    ($($element:ident $name:literal)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Element { $($element),* }

        impl Element {
            fn named(name: &str) -> Option<Element> {
                match name { $($name => Some(Element::$element),)* _ => None }
            }

            fn name(self) -> &'static str {
                match self { $(Element::$element => $name),* }
            }
        }
    };
}

elements! {
    MethodCall "methodCall"
    MethodName "methodName"
    MethodResponse "methodResponse"
    Params "params"
    Param "param"
    Fault "fault"
    Value "value"
    Int "int"
    I4 "i4"
    I8 "i8"
    Boolean "boolean"
    Double "double"
    String "string"
    DateTime "dateTime.iso8601"
    Base64 "base64"
    Nil "nil"
    Array "array"
    Data "data"
    Struct "struct"
    Member "member"
    Name "name"
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    limits: &'a Limits,
    /// Values that may yet be built.
    values: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a [u8], limits: &'a Limits) -> Result<Parser<'a>, Malformed> {
        let text = str::from_utf8(text).map_err(|error| Malformed(error.to_string()))?;
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Parser { reader, limits, values: limits.values })
    }

    /// What is wrong at the present place. It is cut, for it may quote the peer at any length.
    fn malformed(&self, what: &str) -> Malformed {
        Malformed(format!("{what:.200} at byte {}", self.reader.buffer_position()))
    }

    fn unexpected(&self, tag: Tag) -> Malformed {
        match tag {
            Tag::Open(element) => self.malformed(&format!("unexpected element '{}'", element.name())),
            Tag::Close => self.malformed("element ends too early"),
            Tag::End => self.malformed("text ends too early"),
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Malformed> {
        match self.reader.read_event() {
            Ok(Event::DocType(_)) => Err(self.malformed("refused document type declaration")),
            Ok(event) => Ok(event),
            Err(error) => Err(self.malformed(&error.to_string())),
        }
    }

    fn element(&self, start: &BytesStart<'_>) -> Result<Element, Malformed> {
        let name = start.name().0;
        Element::named(name).ok_or_else(|| self.malformed(&format!("unknown element '{name:.100}'")))
    }

    fn tag(&mut self) -> Result<Tag, Malformed> {
        loop {
            match self.event()? {
                Event::Start(start) => return self.element(&start).map(Tag::Open),
                Event::End(_) => return Ok(Tag::Close),
                Event::Eof => return Ok(Tag::End),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                _ => return Err(self.malformed("text outside a value")),
            }
        }
    }

    fn open(&mut self, element: Element) -> Result<(), Malformed> {
        if self.opens(element)? { Ok(()) } else { Err(self.unexpected(Tag::Close)) }
    }

    /// Whether this element opens here, where otherwise the one around it must close.
    fn opens(&mut self, element: Element) -> Result<bool, Malformed> {
        match self.tag()? {
            Tag::Open(opened) if opened == element => Ok(true),
            Tag::Close => Ok(false),
            other => Err(self.unexpected(other)),
        }
    }

    fn close(&mut self) -> Result<(), Malformed> {
        match self.tag()? {
            Tag::Close => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    fn end(&mut self) -> Result<(), Malformed> {
        match self.tag()? {
            Tag::End => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    /// Text up to the next tag, which is returned as well.
    fn text_and_tag(&mut self) -> Result<(String, Tag), Malformed> {
        let mut text = String::new();
        loop {
            match self.event()? {
                Event::Text(part) => self.push(&mut text, &part.xml10_content())?,
                Event::CData(part) => self.push(&mut text, &part.xml10_content())?,
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(char)) => self.push(&mut text, char.encode_utf8(&mut [0; 4]))?,
                    Ok(None) => match resolve_xml_entity(&name) {
                        Some(part) => self.push(&mut text, part)?,
                        None => return Err(self.malformed(&format!("unknown entity '{:.100}'", &*name))),
                    },
                    Err(error) => return Err(self.malformed(&error.to_string())),
                },
                Event::Comment(_) | Event::PI(_) => {}
                Event::Start(start) => return Ok((text, Tag::Open(self.element(&start)?))),
                Event::End(_) => return Ok((text, Tag::Close)),
                Event::Eof => return Ok((text, Tag::End)),
                _ => return Err(self.malformed("declaration inside a value")),
            }
        }
    }

    fn push(&self, text: &mut String, part: &str) -> Result<(), Malformed> {
        let limit = self.limits.string_bytes;
        if text.len() + part.len() > limit {
            return Err(self.malformed(&format!("string exceeds {limit} bytes")));
        }
        text.push_str(part);
        Ok(())
    }

    /// The text of an element that holds nothing else, up to its end.
    fn text(&mut self) -> Result<String, Malformed> {
        match self.text_and_tag()? {
            (text, Tag::Close) => Ok(text),
            (_, tag) => Err(self.unexpected(tag)),
        }
    }

    /// A value, from behind its opening tag up to its end. Without a type it is text.
    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        match self.values.checked_sub(1) {
            Some(left) => self.values = left,
            None => return Err(self.malformed(&format!("more than {} values", self.limits.values))),
        }
        let element = match self.text_and_tag()? {
            (text, Tag::Close) => return Ok(Value::String(text)),
            (text, Tag::Open(element)) if text.trim_ascii().is_empty() => element,
            (_, Tag::Open(_)) => return Err(self.malformed("text beside a type")),
            (_, tag) => return Err(self.unexpected(tag)),
        };
        let value = self.typed(element, depth)?;
        self.close()?;
        Ok(value)
    }

    fn typed(&mut self, element: Element, depth: usize) -> Result<Value, Malformed> {
        match element {
            // The interface has no type of its own for times and bytes: relayed as JSON they are this text.
            Element::String | Element::DateTime | Element::Base64 => Ok(Value::String(self.text()?)),
            Element::Int | Element::I4 | Element::I8 => {
                let int = self.text()?.trim_ascii().parse();
                int.map(Value::Int).map_err(|_| self.malformed("text is no integer of 64 bits signed"))
            }
            Element::Double => {
                let float = self.text()?.trim_ascii().parse();
                float.map(Value::Float).map_err(|_| self.malformed("text is no number"))
            }
            Element::Boolean => Ok(Value::Bool(self.text()? == "1")),
            Element::Nil => self.close().map(|()| Value::Null),
            Element::Array => {
                let depth = self.deeper(depth)?;
                let mut items = Vec::new();
                self.open(Element::Data)?;
                while self.opens(Element::Value)? {
                    items.push(self.value(depth)?);
                }
                self.close()?;
                Ok(Value::List(items))
            }
            Element::Struct => {
                let depth = self.deeper(depth)?;
                let mut members = Vec::new();
                while self.opens(Element::Member)? {
                    self.open(Element::Name)?;
                    let name = self.text()?;
                    self.open(Element::Value)?;
                    members.push((name, self.value(depth)?));
                    self.close()?;
                }
                Ok(Value::Dict(members))
            }
            other => Err(self.unexpected(Tag::Open(other))),
        }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Malformed> {
        depth.checked_sub(1).ok_or_else(|| self.malformed(&format!("nested deeper than {}", self.limits.depth)))
    }
}

#[cfg(test)]
mod tests;
