//! Processes as the host runs them: what they say, how they end, and how those of an earlier daemon are found again.

use super::*;
use crate::bell::Bell;
use crate::scratch::Scratch;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::time::Instant;
use xenops_core::host::{Exit, Process};

const PATIENCE: Duration = Duration::from_secs(20);

fn run<T>(name: &str, body: impl AsyncFnOnce(Rc<Processes>, &Path) -> T) -> T {
    let scratch = Scratch::new(name);
    let executor = Rc::new(LocalExecutor::new());
    let instance = format!("{name}-{}", std::process::id());
    let processes = Rc::new(Processes::new(&instance, scratch.path(), executor.clone()));
    smol::block_on(executor.run(body(processes, scratch.path())))
}

fn spawn(number: u64, role: Role, script: &str) -> Spawn {
    Spawn {
        process: Handle(number),
        role,
        domid: Some(7),
        program: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned(), "sh".to_owned(), STREAM.to_owned()],
        env: vec![("GIVEN".to_owned(), "so".to_owned())],
        scratch: None,
        stream: None,
    }
}

async fn until(processes: &Processes, number: u64, held: impl Fn(&Process) -> bool) -> Process {
    let running = processes.get(Handle(number)).expect("it is known");
    let bell = Rc::new(Bell::default());
    running.listen(&bell);
    let began = Instant::now();
    while !held(&running.shown()) {
        assert!(began.elapsed() < PATIENCE, "{:?}", running.shown());
        let tick = async {
            smol::Timer::after(Duration::from_millis(50)).await;
        };
        smol::future::or(bell.heard(), tick).await;
    }
    running.shown()
}

async fn ended(processes: &Processes, number: u64) -> Process {
    until(processes, number, |process| process.exit.is_some()).await
}

#[test]
fn what_it_says_and_how_it_ends_is_shown() {
    run("said", async |processes, _| {
        let cases = [
            ("echo a; echo b; exit 3", &["a", "b"][..], Exit::Code(3)),
            ("printf 'no newline'", &["no newline"], Exit::Code(0)),
            ("printf '\\377\\n'", &["\u{fffd}"], Exit::Code(0)),
            ("echo $GIVEN $HOME; pwd", &["so", "/"], Exit::Code(0)),
            ("read line; echo got $line", &["got it"], Exit::Code(0)),
            ("kill -9 $$", &[], Exit::Signal(9)),
            // The child of its own keeps its output open, and it has ended all the same.
            ("sleep 30 & echo early", &["early"], Exit::Code(0)),
        ];
        for (number, (script, lines, exit)) in cases.into_iter().enumerate() {
            let number = number as u64;
            processes.spawn(&spawn(number, Role::Builder, script), None).unwrap();
            let _ = processes.tell(Handle(number), "it").await;
            let shown = ended(&processes, number).await;
            assert_eq!(
                (shown.lines, shown.exit),
                (lines.iter().map(|l| l.to_string()).collect(), Some(exit)),
                "{script}"
            );
            assert!(processes.tell(Handle(number), "more").await.is_err());
            processes.forget(Handle(number)).await;
            assert!(processes.get(Handle(number)).is_none());
        }
    });
}

#[test]
fn a_stream_is_handed_over_and_nothing_else() {
    run("stream", async |processes, directory| {
        let path = directory.join("image");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one ").unwrap();
        let other = File::create(directory.join("other")).unwrap();
        let script = "echo two >&$1; ls -l /proc/self/fd | grep -c /other; true";
        // Not sh: it may know no descriptors beyond 9.
        let saver = Spawn { program: "/bin/bash".to_owned(), ..spawn(1, Role::Saver, script) };
        processes.spawn(&saver, Some(&file)).unwrap();
        assert_eq!(ended(&processes, 1).await.lines, ["0"]);
        file.write_all(b"three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one two\nthree");
        processes.spawn(&spawn(2, Role::Saver, "ls -l /proc/self/fd | grep -c /image"), None).unwrap();
        assert_eq!(ended(&processes, 2).await.lines, ["0"], "the descriptor stayed open for the next one");
        drop(other);
    });
}

#[test]
fn what_cannot_run_is_refused() {
    run("refused", async |processes, directory| {
        let mut missing = spawn(1, Role::Hook, "");
        missing.program = directory.join("none").display().to_string();
        assert_eq!(processes.spawn(&missing, None), Err(Fault::NotFound(missing.program.clone())));
        fs::write(&missing.program, "not executable").unwrap();
        assert!(processes.spawn(&missing, None).is_err());
        processes.spawn(&spawn(1, Role::Hook, "exit 0"), None).unwrap();
        assert_eq!(processes.spawn(&spawn(1, Role::Hook, "exit 0"), None), Err(Fault::Exists("process 1".to_owned())));
    });
}

#[test]
fn killed_and_forgotten_ones_are_gone_with_their_children_when_that_is_answered() {
    run("killed", async |processes, directory| {
        let file = directory.join("pid");
        let script = format!("trap '' TERM; sleep 100 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        for (number, forget) in [(1, false), (2, true)] {
            processes.spawn(&spawn(number, Role::Restorer, &script), None).unwrap();
            assert_eq!(processes.roles(7), [Role::Restorer]);
            assert_eq!(processes.roles(8), []);
            while !file.exists() {
                smol::Timer::after(Duration::from_millis(5)).await;
            }
            let child = fs::read_to_string(&file).unwrap();
            fs::remove_file(&file).unwrap();
            processes.kill(7, Role::Saver).await;
            assert_eq!(processes.roles(7), [Role::Restorer], "another role");
            match forget {
                true => processes.forget(Handle(number)).await,
                false => processes.kill(7, Role::Restorer).await,
            }
            assert_eq!(processes.roles(7), []);
            let began = Instant::now();
            while fs::read_to_string(format!("/proc/{}/stat", child.trim())).is_ok_and(|stat| !stat.contains(") Z ")) {
                assert!(began.elapsed() < PATIENCE, "its child lives");
                smol::Timer::after(Duration::from_millis(5)).await;
            }
        }
    });
}

#[test]
fn the_next_daemon_takes_over_device_models_lets_scripts_end_and_ends_the_rest() {
    let scratch = Scratch::new("take-over");
    let (done, stays) = (scratch.path().join("done"), scratch.path().join("stays"));
    let instance = format!("take-over-{}", std::process::id());
    let executor = Rc::new(LocalExecutor::new());
    smol::block_on(executor.run(async {
        let first = Processes::new(&instance, scratch.path(), executor.clone());
        first.spawn(&spawn(1, Role::DeviceModel, "echo ready; exec sleep 1000"), None).unwrap();
        first.spawn(&spawn(2, Role::Builder, "sleep 1000"), None).unwrap();
        // A hook that has something to say comes to its end too, and what it has put into a session of its own stays.
        let paths = [done.display(), stays.display()];
        let scripts = [
            format!("sleep 0.3; touch {}.hotplug", paths[0]),
            format!("setsid sleep 1000 & echo $! > {}; sleep 0.3; echo said; touch {}.hook", paths[1], paths[0]),
        ];
        first.spawn(&spawn(3, Role::Hotplug, &scripts[0]), None).unwrap();
        first.spawn(&spawn(4, Role::Hook, &scripts[1]), None).unwrap();
        let model = first.get(Handle(1)).unwrap();
        let builder = first.get(Handle(2)).unwrap();
        // Started and not yet its program: the mark is there when the daemon knows of the process.
        let other = Processes::new("somebody else", scratch.path(), executor.clone());
        other.take_over().await;
        assert_eq!(other.roles(7), []);
        let second = Processes::new(&instance, scratch.path(), executor.clone());
        second.take_over().await;
        assert!(done.with_extension("hotplug").exists(), "the hotplug script was not left to end");
        assert!(done.with_extension("hook").exists(), "the hook was not left to end");
        // The one that reads its pipe is told of its end by itself, and may be the later of the two.
        assert_eq!(ended(&first, 4).await.lines, ["said"]);
        let stays = Pid::from_raw(fs::read_to_string(&stays).unwrap().trim().parse().unwrap()).unwrap();
        kill_process(stays, Signal::KILL).expect("a hook's daemon stays");
        builder.ended().await;
        assert_eq!(second.roles(7), [Role::DeviceModel]);
        assert!(second.get(Handle(1)).is_none(), "numbers are of one daemon's life");
        second.forget(Handle(1)).await;
        first.forget(Handle(1)).await;
        assert!(!model.has_ended(), "a device model outlives whoever forgets it");
        second.kill(7, Role::DeviceModel).await;
        assert_eq!(second.roles(7), []);
        model.ended().await;
        assert_eq!(model.shown().lines, ["ready"], "its last words");
    }));
}
