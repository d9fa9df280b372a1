//! What the helper says, line by line, and the words that it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Standard output. After the last line nothing is said, whoever would.
#[derive(Clone)]
pub struct Voice(Arc<Mutex<Option<Box<dyn Write + Send>>>>);

impl Voice {
    /// To be heard there.
    pub fn new(output: impl Write + Send + 'static) -> Voice {
        Voice(Arc::new(Mutex::new(Some(Box::new(output)))))
    }

    fn with(&self, line: &str, last: bool) {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(output) = output.as_mut() {
            // A daemon that is gone hears nothing; the end of our standard input tells us.
            let _ = output.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes()).and_then(|()| output.flush());
        }
        if last {
            *output = None;
        }
    }

    /// A line.
    pub fn say(&self, line: &str) {
        self.with(line, false);
    }

    /// For the log.
    pub fn info(&self, text: &str) {
        self.say(&format!("info:{text}"));
    }

    /// Per cent of the work. The backspaces are letters, as the field's helpers write them.
    pub fn progress(&self, percent: u32) {
        self.say(&format!(r"info:\b\b\b\b {percent}%"));
    }

    /// The last line.
    pub fn end(&self, line: &str) {
        self.with(line, true);
    }
}

/// Why the work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Told so.
    Abort,
    /// Nobody is there any more to tell anything.
    Alone,
}

/// Words as they come.
pub struct Words(Receiver<String>);

impl Words {
    /// Waits for this word; whether it came.
    pub fn wait(&self, expected: &str) -> Result<(), String> {
        match self.0.recv() {
            Ok(word) if word == expected => Ok(()),
            Ok(word) => Err(format!("told {word}, not {expected}")),
            Err(_) => Err(format!("not told {expected}")),
        }
    }
}

/// Hears words on a thread of its own, so that `abort` and the end of the input are heard during the work.
pub fn listen(input: impl Read + Send + 'static, stop: impl FnOnce(Stop) + Send + 'static) -> Words {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(input).lines() {
            match line {
                Ok(word) if word == "abort" => return stop(Stop::Abort),
                Ok(word) => drop(sender.send(word)),
                Err(_) => break,
            }
        }
        stop(Stop::Alone);
    });
    Words(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::pipe;

    #[test]
    fn nothing_follows_the_last_line() {
        let (mut reader, writer) = pipe().unwrap();
        let voice = Voice::new(writer);
        voice.info("two\nlines");
        voice.progress(42);
        voice.clone().end("result:1 2");
        voice.end("error:late");
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "info:two lines\ninfo:\\b\\b\\b\\b 42%\nresult:1 2\n");
    }

    #[test]
    fn words_come_in_order_and_abort_overtakes() {
        let (reader, mut writer) = pipe().unwrap();
        let (said, stopped) = channel();
        let words = listen(reader, move |why| said.send(why).unwrap());
        writer.write_all(b"done\nwhat\nabort\ndone\n").unwrap();
        assert_eq!(stopped.recv().unwrap(), Stop::Abort);
        assert_eq!(words.wait("done"), Ok(()));
        assert_eq!(words.wait("done"), Err("told what, not done".into()));
        assert_eq!(words.wait("done"), Err("not told done".into()));
    }

    #[test]
    fn the_end_of_the_input_is_heard() {
        let (reader, writer) = pipe().unwrap();
        let (said, stopped) = channel();
        let _words = listen(reader, move |why| said.send(why).unwrap());
        drop(writer);
        assert_eq!(stopped.recv().unwrap(), Stop::Alone);
    }
}
