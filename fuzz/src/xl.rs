//! A VM's configuration file in the style of `xl`.

use xenops_core::host::Uuid;
use xenops_core::xl::{Spot, parse, print};

/// Bytes beyond which an input only repeats itself.
const LONGEST: usize = 16 << 10;

/// Messages go to a terminal, a line each.
const LONGEST_MESSAGE: usize = 1024;

/// Any text is a VM, or wrong at a place that it has; a VM is printed as a file that is read as the same.
pub fn xl(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if text.len() > LONGEST {
        return;
    }
    let (metadata, warnings) = match parse(text, Uuid::default()) {
        Ok(read) => read,
        Err(error) => return check_message(text, error.spot, &error.text),
    };
    for warning in warnings {
        check_message(text, warning.spot, &warning.text);
    }
    let printed = print(&metadata);
    let (again, warnings) = parse(&printed.text, Uuid::default()).expect("what was printed can be read");
    assert_eq!(printed.lost, Vec::<String>::new(), "a file can say what a file said");
    assert_eq!(warnings, [], "what was printed has an effect");
    assert_eq!(again, metadata);
    assert_eq!(print(&again), printed);
}

fn check_message(text: &str, spot: Spot, message: &str) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = (spot.line as usize).checked_sub(1).and_then(|line| text.split('\n').nth(line));
    // What is missing is missing right behind the end.
    assert!(line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&(spot.column as usize))), "{spot}");
    assert!(message.len() <= LONGEST_MESSAGE && !message.contains(char::is_control), "{message:?}");
}
