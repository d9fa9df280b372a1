//! A configuration file's assignments, before anybody asks what their keys mean.

use super::lexer::{Lexer, Token};
use super::problem::{Error, Spot};

/// The most assignments of a file, and the most elements of a list.
const MOST: usize = 1024;

/// `key = value`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment<'a> {
    pub(super) spot: Spot,
    pub(super) key: &'a str,
    pub(super) value: Value<'a>,
}

/// What stands right of `=`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    One(Item<'a>),
    List(Spot, Vec<Item<'a>>),
}

/// A string or an integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item<'a> {
    /// Where its content begins: within the quotes of a string.
    pub(super) spot: Spot,
    pub(super) scalar: Scalar<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Number(i64),
}

/// All assignments of a text, in its order.
pub(super) fn assignments(text: &str) -> Result<Vec<Assignment<'_>>, Error> {
    let mut lexer = Lexer::new(text)?;
    let mut found = Vec::new();
    loop {
        let (spot, key) = match lexer.next()? {
            (_, Token::Newline | Token::Sign(';')) => continue,
            (_, Token::End) => return Ok(found),
            (spot, Token::Identifier(key)) => (spot, key),
            (spot, other) => return Err(Error::at(spot, format!("expected a key, found {}", other.name()))),
        };
        if found.len() == MOST {
            return Err(Error::at(spot, format!("more than {MOST} assignments")));
        }
        match lexer.next()? {
            (_, Token::Sign('=')) => {}
            (spot, other) => {
                return Err(Error::at(spot, format!("expected '=' after '{key}', found {}", other.name())));
            }
        }
        found.push(Assignment { spot, key, value: value(&mut lexer, key)? });
        match lexer.next()? {
            (_, Token::Newline | Token::Sign(';')) => {}
            (_, Token::End) => return Ok(found),
            (spot, other) => {
                return Err(Error::at(
                    spot,
                    format!("expected the end of the line after the value of '{key}', found {}", other.name()),
                ));
            }
        }
    }
}

fn value<'a>(lexer: &mut Lexer<'a>, key: &str) -> Result<Value<'a>, Error> {
    match lexer.next()? {
        (spot, Token::Sign('[')) => list(lexer, spot, key),
        (spot, token) => match item(spot, &token) {
            Some(item) => Ok(Value::One(item)),
            None => {
                let text =
                    format!("expected a string in quotes, a number or a list for '{key}', found {}", token.name());
                Err(Error::at(spot, text))
            }
        },
    }
}

fn item<'a>(spot: Spot, token: &Token<'a>) -> Option<Item<'a>> {
    match token {
        Token::Text(text) => Some(Item { spot: spot.right(1), scalar: Scalar::Text(text) }),
        Token::Number(number) => Some(Item { spot, scalar: Scalar::Number(*number) }),
        _ => None,
    }
}

fn list<'a>(lexer: &mut Lexer<'a>, start: Spot, key: &str) -> Result<Value<'a>, Error> {
    let mut items = Vec::new();
    let mut may_follow = true;
    loop {
        let (spot, token) = lexer.next()?;
        match (&token, item(spot, &token)) {
            (Token::Newline, _) => {}
            (Token::Sign(']'), _) => return Ok(Value::List(start, items)),
            (Token::Sign(','), _) if !may_follow => may_follow = true,
            (_, Some(_)) if items.len() == MOST => {
                return Err(Error::at(spot, format!("more than {MOST} elements in '{key}'")));
            }
            (_, Some(item)) if may_follow => {
                items.push(item);
                may_follow = false;
            }
            (Token::End, _) => return Err(Error::at(start, format!("list '{key}' has no closing ]"))),
            _ => {
                let expected = if may_follow { "an element or ']'" } else { "',' or ']'" };
                return Err(Error::at(spot, format!("expected {expected} in '{key}', found {}", token.name())));
            }
        }
    }
}
