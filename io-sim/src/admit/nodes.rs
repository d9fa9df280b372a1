//! What xenstore answered, offered to the model: one node after the other.

use super::Admission;
use super::judge::not;
use super::node;
use super::table::{By, Verdict};
use xenops_core::host::{Found, Nodes, Outcome, Query, Reply};

impl Admission {
    pub(super) fn read(&mut self, queries: &[Query], before: &Outcome, real: &[Found]) -> Verdict {
        let before = match before {
            Outcome::Ok(Reply::Found(found)) => found.clone(),
            other => return not(format!("the model: {other:?}")),
        };
        let mut verdict = Verdict::Equal;
        for ((query, real), before) in queries.iter().zip(real).zip(&before) {
            let one = self.found(query, real, before);
            verdict = verdict.and(one);
        }
        verdict
    }

    fn found(&mut self, query: &Query, real: &Found, before: &Found) -> Verdict {
        let now = self.world.store().query(query);
        if now == *real {
            return Verdict::Equal;
        }
        if before == real {
            return Verdict::by(By::Time);
        }
        match (query, real, &now) {
            (Query::Value(path), Found::Value(real), Found::Value(ours)) => {
                self.differs(path, real.as_deref(), ours.as_deref())
            }
            (Query::Children(path), Found::Children(real), Found::Children(ours)) => {
                self.children(path, real.as_deref(), ours.as_deref())
            }
            (Query::Tree { path, .. }, Found::Tree(real), Found::Tree(ours)) => self.tree(path, real, ours),
            _ => not(format!("an answer of another kind to {query:?}")),
        }
    }

    /// One node that is not as the model has it. If that may be, it is brought to the model.
    pub(super) fn differs(&mut self, path: &str, real: Option<&str>, ours: Option<&str>) -> Verdict {
        // What others do not write any more they may have removed, or never written.
        let by = node::writer(path, real).or_else(|| self.is_early(path).then_some(By::Others));
        let by = by.or_else(|| self.is_under_way(path).then_some(By::Time));
        let by = by.or_else(|| (real.is_none() && self.is_taken(path)).then_some(By::Others));
        let own = || node::front_end_of(path).is_some_and(|domid| self.world.has_run(domid));
        let by = by.or_else(|| (real.is_none() && own()).then_some(By::Guest));
        match by {
            Some(by) => {
                self.world.bring_node(path, real);
                Verdict::by(by)
            }
            None => not(format!("{path} is {real:?}; the model: {ours:?}")),
        }
    }

    fn children(&mut self, path: &str, real: Option<&[String]>, ours: Option<&[String]>) -> Verdict {
        let (Some(real), Some(ours)) = (real, ours) else {
            return self.differs(path, real.map(|_| ""), ours.map(|_| ""));
        };
        let mut verdict = Verdict::Equal;
        let below = |name: &String| format!("{path}/{name}");
        for name in real.iter().filter(|name| !ours.contains(name)) {
            verdict = verdict.and(self.differs(&below(name), Some(""), None));
        }
        for name in ours.iter().filter(|name| !real.contains(name)) {
            verdict = verdict.and(self.differs(&below(name), None, Some("")));
        }
        let mut sorted = real.to_vec();
        sorted.sort_unstable();
        if sorted != real {
            return verdict.and(not(format!("the names below {path} are not sorted: {real:?}")));
        }
        verdict
    }

    fn tree(&mut self, root: &str, real: &Nodes, ours: &Nodes) -> Verdict {
        let mut verdict = Verdict::Equal;
        for (path, value) in real.iter().filter(|(path, value)| ours.get(path) != Some(*value)) {
            // A directory is there for what is in it.
            let inside = format!("{path}/");
            let inner = real.iter().any(|(other, _)| other.starts_with(&inside));
            if value.is_empty() && inner && ours.get(path).is_none() {
                continue;
            }
            verdict = verdict.and(self.differs(&format!("{root}/{path}"), Some(value), ours.get(path)));
        }
        for (path, value) in ours.iter().filter(|(path, _)| real.get(path).is_none()) {
            let inside = format!("{path}/");
            let inner = ours.iter().any(|(other, _)| other.starts_with(&inside));
            if value.is_empty() && inner {
                continue;
            }
            verdict = verdict.and(self.differs(&format!("{root}/{path}"), None, Some(value)));
        }
        let paths: Vec<&str> = real.iter().map(|(path, _)| path).collect();
        if paths.is_sorted_by_key(|path| path.replace('/', "\0")) {
            return verdict;
        }
        verdict.and(not(format!("what is below {root} is not in order: {paths:?}")))
    }
}
