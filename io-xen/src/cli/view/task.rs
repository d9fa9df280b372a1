//! Tasks and what has become of them.

use super::json;
use xenops_core::interface::Task;

/// A line per task and one per part of it: upstream's.
pub fn lines(tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        let time = timestamp(task.ctime);
        text.push_str(&format!("{:<8} {time:<12} {:<30} {}\n", task.id, task.dbg, json(&task.state)));
        for (name, state) in &task.subtasks {
            text.push_str(&format!("  |_ {name:<30} {}\n", json(state)));
        }
    }
    text
}

/// A moment, in seconds since 1970, as `YYYYMMDDThh:mm:ssZ`.
fn timestamp(seconds: f64) -> String {
    let seconds = seconds as i64;
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Years from March on put the leap day at the end; 400 of them repeat.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + carry;
    format!("{year:04}{month:02}{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenops_core::interface::task::State;
    use xenops_core::interface::{Error, Pairs};

    #[test]
    fn lines_are_upstreams() {
        let task = Task {
            id: "43".into(),
            dbg: "xn".into(),
            ctime: 1_755_731_999.25,
            state: State::failed(&Error::DomainNotBuilt),
            subtasks: Pairs(vec![("VM_create".into(), State::Pending(0.5))]),
            debug_info: Pairs::default(),
            backtrace: "()".into(),
            cancellable: true,
        };
        let expected = format!(
            "43       20250820T23:19:59Z xn{} [\"Failed\",\"Domain_not_built\"]\n  |_ VM_create{} [\"Pending\",0.5]\n",
            " ".repeat(28),
            " ".repeat(21)
        );
        assert_eq!(lines(&[task]), expected);
        assert_eq!(lines(&[]), "");
    }

    #[test]
    fn moments() {
        for (seconds, text) in [
            (0.0, "19700101T00:00:00Z"),
            (951_782_399.9, "20000228T23:59:59Z"),
            (951_782_400.0, "20000229T00:00:00Z"),
            (951_868_800.0, "20000301T00:00:00Z"),
            (4_107_542_400.0, "21000301T00:00:00Z"),
            (1_735_689_599.0, "20241231T23:59:59Z"),
            (-1.0, "19691231T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }
}
