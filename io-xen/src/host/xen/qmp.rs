//! Asking a device model something: QMP on its socket, one short connection a command.

use super::faults::fault;
use serde_json::{Value, json};
use smol::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use smol::net::unix::UnixStream;
use std::io;
use std::path::Path;
use xenops_core::host::{Fault, Outcome, Reply};

/// Bytes of one message at most.
const LONGEST: u64 = 8 << 20;

/// Messages that are not the answer, at most: events.
const MOST: usize = 10_000;

/// Our commands' id.
const ID: &str = "xenopsd";

/// Asks; the answer is JSON. What was sent and not answered may have been done.
pub async fn ask(socket: &Path, command: &str, arguments: &str) -> Outcome {
    let arguments: Value = match serde_json::from_str(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return Outcome::Refused(Fault::Other(format!("arguments of {command} are no JSON: {error}"))),
    };
    let mut monitor = match Monitor::connect(socket).await {
        Ok(monitor) => monitor,
        Err(error) => return Outcome::Refused(refusal(socket, &error)),
    };
    match monitor.command(command, &arguments).await {
        Ok(Ok(value)) => Outcome::Ok(Reply::Text(value.to_string())),
        Ok(Err(text)) => Outcome::Refused(Fault::Other(format!("device model refuses {command}: {text}"))),
        Err(error) => Outcome::Unknown(Fault::Lost(format!("the device model at {}: {error}", socket.display()))),
    }
}

fn refusal(socket: &Path, error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::NotFound(format!("device model at {}", socket.display())),
        _ => fault(format!("device model at {}", socket.display()), error),
    }
}

struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects and agrees on nothing special.
    async fn connect(socket: &Path) -> io::Result<Monitor> {
        let mut monitor = Monitor { stream: BufReader::new(UnixStream::connect(socket).await?) };
        if monitor.hear().await?.get("QMP").is_none() {
            return Err(io::Error::other("it does not greet"));
        }
        match monitor.command("qmp_capabilities", &json!({})).await? {
            Ok(_) => Ok(monitor),
            Err(text) => Err(io::Error::other(text)),
        }
    }

    /// One command and its answer, or its error's text.
    async fn command(&mut self, command: &str, arguments: &Value) -> io::Result<Result<Value, String>> {
        let message = json!({"execute": command, "arguments": arguments, "id": ID});
        self.stream.get_mut().write_all(format!("{message}\n").as_bytes()).await?;
        for _ in 0..MOST {
            let mut message = self.hear().await?;
            // An error of a command that it could not read has no id.
            if message.get("id").is_some_and(|id| id != ID) {
                continue;
            }
            if let Some(value) = message.get_mut("return") {
                return Ok(Ok(value.take()));
            }
            if let Some(error) = message.get("error") {
                return Ok(Err(error["desc"].as_str().map_or_else(|| error.to_string(), str::to_owned)));
            }
        }
        Err(io::Error::other("it says everything but an answer"))
    }

    async fn hear(&mut self) -> io::Result<Value> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST).read_until(b'\n', &mut line).await?;
        match line.last() {
            Some(b'\n') => serde_json::from_slice(&line).map_err(|error| io::Error::other(error.to_string())),
            Some(_) if line.len() as u64 == LONGEST => Err(io::Error::other("a message is too long")),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use smol::net::unix::UnixListener;

    const GREETING: &str = r#"{"QMP":{"version":{"qemu":{"major":7}},"capabilities":["oob"]}}"#;
    const FINE: &str = r#"{"return":{},"id":"xenopsd"}"#;

    // Asks a monitor that greets and then answers each line that it reads with these texts, in order.
    fn against(answers: &[&[&str]]) -> (Outcome, Vec<String>) {
        let scratch = Scratch::new("qmp");
        let socket = scratch.path().join("qmp");
        let listener = UnixListener::bind(&socket).unwrap();
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let (mut heard, mut stream) = (Vec::new(), BufReader::new(stream));
            for (turn, texts) in answers.iter().enumerate() {
                if turn > 0 {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    heard.push(line.trim_end().to_owned());
                }
                for text in *texts {
                    let _ = stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await;
                }
            }
            heard
        };
        smol::block_on(smol::future::zip(ask(&socket, "eject", r#"{"id":"ide-5632"}"#), serve))
    }

    #[test]
    fn answers_are_told_from_events_and_errors() {
        let event = r#"{"event":"RTC_CHANGE","data":{"offset":1},"timestamp":{"seconds":1}}"#;
        let other = r#"{"return":{"not":"ours"},"id":"libxl-1"}"#;
        let (outcome, heard) =
            against(&[&[GREETING, event], &[event, FINE], &[event, other, r#"{"return":[1],"id":"xenopsd"}"#]]);
        assert_eq!(outcome, Outcome::Ok(Reply::Text("[1]".to_owned())));
        let sent: Vec<Value> = heard.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(sent[0]["execute"], "qmp_capabilities");
        assert_eq!((&sent[1]["execute"], &sent[1]["arguments"]["id"]), (&json!("eject"), &json!("ide-5632")));
        let (outcome, _) = against(&[
            &[GREETING],
            &[FINE],
            &[r#"{"error":{"class":"GenericError","desc":"no such"},"id":"xenopsd"}"#],
        ]);
        assert!(matches!(outcome, Outcome::Refused(Fault::Other(text)) if text.ends_with("no such")));
    }

    #[test]
    fn what_was_asked_and_not_answered_may_have_been_done() {
        for answers in [&[&[GREETING][..], &[FINE], &[]][..], &[&[GREETING], &[FINE], &["{\"ret"]]] {
            let (outcome, _) = against(answers);
            assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        }
        for answers in [&[&["{}"][..]][..], &[&["what"]], &[&[]], &[&[GREETING], &[r#"{"error":{"desc":"no"}}"#]]] {
            let (outcome, _) = against(answers);
            assert!(matches!(outcome, Outcome::Refused(_)), "{answers:?}: {outcome:?}");
        }
        let outcome = smol::block_on(ask(Path::new("/nonexistent/qmp"), "stop", "{}"));
        assert!(matches!(outcome, Outcome::Refused(Fault::NotFound(_))), "{outcome:?}");
        let outcome = smol::block_on(ask(Path::new("/nonexistent/qmp"), "stop", "no json"));
        assert!(matches!(outcome, Outcome::Refused(Fault::Other(_))), "{outcome:?}");
    }
}
