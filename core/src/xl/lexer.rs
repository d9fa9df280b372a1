//! A configuration file's text, cut into tokens.

use super::problem::{Error, Spot, excerpt};

/// The longest file, in bytes.
pub(super) const FILE_BYTES: usize = 1 << 20;
/// The longest string or identifier, in bytes.
pub(super) const TOKEN_BYTES: usize = 16 << 10;

/// What a text is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A key.
    Identifier(&'a str),
    /// What stands between quotes.
    Text(&'a str),
    /// Decimal, or hexadecimal after `0x`.
    Number(i64),
    /// `=`, `[`, `]`, `,` or `;`.
    Sign(char),
    /// The end of a line.
    Newline,
    /// Nothing follows.
    End,
}

impl Token<'_> {
    /// What to call it in a message.
    pub(super) fn name(&self) -> String {
        match self {
            Token::Identifier(name) => format!("'{}'", excerpt(name)),
            Token::Text(text) => format!("the string '{}'", excerpt(text)),
            Token::Number(number) => format!("the number {number}"),
            Token::Sign(sign) => format!("'{sign}'"),
            Token::Newline => "the end of the line".to_owned(),
            Token::End => "the end of the file".to_owned(),
        }
    }
}

/// The tokens of a text, one after the other.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    spot: Spot,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Result<Lexer<'a>, Error> {
        if text.len() > FILE_BYTES {
            return Err(Error::at(Spot::START, format!("file exceeds {FILE_BYTES} bytes")));
        }
        Ok(Lexer { rest: text.strip_prefix('\u{feff}').unwrap_or(text), spot: Spot::START })
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(Spot, Token<'a>), Error> {
        self.take_while(|c| matches!(c, ' ' | '\t' | '\r'));
        if self.rest.starts_with('#') {
            self.take_while(|c| c != '\n');
        }
        let spot = self.spot;
        let Some(first) = self.rest.chars().next() else { return Ok((spot, Token::End)) };
        let token = match first {
            '\n' => {
                self.rest = &self.rest[1..];
                self.spot = Spot { line: spot.line + 1, column: 1 };
                Token::Newline
            }
            '=' | '[' | ']' | ',' | ';' => {
                self.take(1);
                Token::Sign(first)
            }
            '\'' | '"' => self.text(spot, first)?,
            'a'..='z' | 'A'..='Z' | '_' => Token::Identifier(self.word(spot)?),
            '0'..='9' | '-' => number(spot, self.word(spot)?)?,
            _ => return Err(Error::at(spot, format!("'{}' has no meaning here", excerpt(&first.to_string())))),
        };
        Ok((spot, token))
    }

    fn text(&mut self, spot: Spot, quote: char) -> Result<Token<'a>, Error> {
        self.take(1);
        let text = self.take_while(|c| c != quote && c != '\n');
        if !self.rest.starts_with(quote) {
            return Err(Error::at(spot, format!("string has no closing {quote} on its line")));
        }
        if let Some(before) = text.find(|c: char| c.is_control() && c != '\t') {
            let column = 1 + text[..before].chars().count();
            return Err(Error::at(spot.right(column), "string holds a control character"));
        }
        self.take(1);
        bounded(spot, text).map(Token::Text)
    }

    fn word(&mut self, spot: Spot) -> Result<&'a str, Error> {
        bounded(spot, self.take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Takes bytes that hold no newline.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.spot = self.spot.right(taken.chars().count());
        self.rest = rest;
        taken
    }
}

fn bounded(spot: Spot, text: &str) -> Result<&str, Error> {
    match text.len() <= TOKEN_BYTES {
        true => Ok(text),
        false => Err(Error::at(spot, format!("more than {TOKEN_BYTES} bytes in one word"))),
    }
}

fn number<'a>(spot: Spot, word: &str) -> Result<Token<'a>, Error> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", word),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    // The parser takes a sign of its own, which would be a second one.
    let parsed = match digits.starts_with(|c: char| c.is_digit(radix)) {
        true => i64::from_str_radix(&format!("{sign}{digits}"), radix).ok(),
        false => None,
    };
    parsed.map(Token::Number).ok_or_else(|| Error::at(spot, format!("'{}' is no number", excerpt(word))))
}
