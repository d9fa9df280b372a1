//! A plan in progress: which of its steps run, which come next, how it ended.

use crate::backend::{Failure, MicroOp, Procedure};
use crate::host::Canonical;
use crate::operation::Step;
use serde::{Deserialize, Serialize};
use std::hash::Hash;

/// Micro-ops of one group side by side, as upstream has it.
const MAX_PARALLEL_ATOMS: usize = 10;

/// A step's place in its run.
pub(crate) type NodeId = u32;

/// The plan as an arena; its root is node 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    nodes: Vec<Node>,
    /// Nodes that may begin, in order.
    ready: std::collections::VecDeque<NodeId>,
    result: Option<Result<(), Failure>>,
    weight: u32,
    weight_done: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Node {
    parent: Option<NodeId>,
    /// Whether its beginning is a cancel point of the operation's own task: children of parallel groups
    /// upstream count on tasks of their own.
    counted: bool,
    weight: u32,
    kind: Kind,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Kind {
    /// The micro-op until it begins, its procedure from then on.
    Leaf {
        op: Option<MicroOp>,
        procedure: Option<Box<Procedure>>,
    },
    Commit,
    BestEffort(NodeId),
    Serial {
        children: Vec<NodeId>,
        next: usize,
    },
    Parallel {
        children: Vec<NodeId>,
        next: usize,
        running: usize,
        failure: Option<(usize, Failure)>,
    },
}

/// What beginning a node comes to.
#[derive(Debug)]
pub(crate) enum Begun {
    /// Step this micro-op.
    Leaf(MicroOp),
    /// Mark the intent committed.
    Commit,
    /// Its children are ready, or it was empty and has ended.
    Group,
}

impl Run {
    /// A plan that has not begun.
    pub(crate) fn new(steps: Vec<Step>) -> Run {
        let weight = steps.iter().map(Step::weight).sum::<u32>().max(1);
        let mut run = Run { nodes: Vec::new(), ready: Default::default(), result: None, weight, weight_done: 0 };
        run.add(Step::Serial("plan", steps), None, true);
        // The root is no step of the plan: beginning it is no cancel point.
        run.nodes[0].counted = false;
        run.ready.push_back(0);
        run
    }

    fn add(&mut self, step: Step, parent: Option<NodeId>, counted: bool) -> NodeId {
        let id = self.nodes.len() as NodeId;
        self.nodes.push(Node { parent, counted, weight: step.weight(), kind: Kind::Commit });
        let kind = match step {
            Step::Do(op) => Kind::Leaf { op: Some(op), procedure: None },
            Step::Commit => Kind::Commit,
            Step::BestEffort(step) => Kind::BestEffort(self.add(*step, Some(id), counted)),
            Step::Serial(_, steps) => {
                let children = steps.into_iter().map(|step| self.add(step, Some(id), counted)).collect();
                Kind::Serial { children, next: 0 }
            }
            Step::Parallel(_, steps) => {
                let children = steps.into_iter().map(|step| self.add(step, Some(id), false)).collect();
                Kind::Parallel { children, next: 0, running: 0, failure: None }
            }
        };
        self.nodes[id as usize].kind = kind;
        id
    }

    /// How far it is, in a hash; what its steps are follows from the operation and its rows.
    pub(crate) fn fingerprint<H: Canonical>(&self, hash: &mut H) {
        let Run { nodes, ready, result, weight: _, weight_done } = self;
        (ready, weight_done, result.is_some()).hash(hash);
        for node in nodes {
            match &node.kind {
                Kind::Leaf { op, procedure } => {
                    (op.is_some(), procedure.is_some()).hash(hash);
                    procedure.iter().for_each(|procedure| procedure.fingerprint(hash));
                }
                Kind::Serial { next, .. } => next.hash(hash),
                Kind::Parallel { next, running, failure, .. } => {
                    let failure = failure.as_ref().map(|(place, failure)| (place, failure.is_cancelled()));
                    (next, running, failure).hash(hash);
                }
                Kind::Commit | Kind::BestEffort(_) => {}
            }
        }
    }

    /// The next node that may begin.
    pub(crate) fn next(&mut self) -> Option<NodeId> {
        self.ready.pop_front()
    }

    /// How the plan ended, once it has.
    pub(crate) fn result(&self) -> Option<&Result<(), Failure>> {
        self.result.as_ref()
    }

    /// Whether a node's beginning counts as a cancel point.
    pub(crate) fn counted(&self, node: NodeId) -> bool {
        self.nodes[node as usize].counted && !matches!(self.nodes[node as usize].kind, Kind::Commit)
    }

    /// Begin a node.
    pub(crate) fn begin(&mut self, node: NodeId) -> Begun {
        match &mut self.nodes[node as usize].kind {
            Kind::Leaf { op, .. } => Begun::Leaf(op.take().expect("a leaf begins once")),
            Kind::Commit => Begun::Commit,
            Kind::BestEffort(child) => {
                self.ready.push_back(*child);
                Begun::Group
            }
            Kind::Serial { .. } => {
                self.serial(node);
                Begun::Group
            }
            Kind::Parallel { .. } => {
                self.chunk(node);
                Begun::Group
            }
        }
    }

    fn serial(&mut self, node: NodeId) {
        let Kind::Serial { children, next } = &mut self.nodes[node as usize].kind else {
            unreachable!("asked of a series")
        };
        match children.get(*next) {
            Some(child) => {
                *next += 1;
                self.ready.push_back(*child);
            }
            None => self.end(node, Ok(())),
        }
    }

    /// Ten at a time, and the next ten when all of these have been joined.
    fn chunk(&mut self, node: NodeId) {
        let Kind::Parallel { children, next, running, failure } = &mut self.nodes[node as usize].kind else {
            unreachable!("asked of a group")
        };
        let chunk = &children[*next..children.len().min(*next + MAX_PARALLEL_ATOMS)];
        *next += chunk.len();
        *running = chunk.len();
        if chunk.is_empty() {
            let result = failure.take().map_or(Ok(()), |(_, failure)| Err(failure));
            return self.end(node, result);
        }
        self.ready.extend(chunk);
    }

    /// A node has ended; its parent goes on.
    pub(crate) fn end(&mut self, node: NodeId, result: Result<(), Failure>) {
        if let Kind::Leaf { procedure, .. } = &mut self.nodes[node as usize].kind {
            *procedure = None;
        }
        let Some(parent) = self.nodes[node as usize].parent else {
            assert!(self.result.is_none(), "a plan ends once");
            assert!(self.ready.is_empty(), "a plan ends when all of its steps have been joined");
            self.result = Some(result);
            return;
        };
        if parent == 0 {
            self.weight_done += self.nodes[node as usize].weight;
        }
        match &mut self.nodes[parent as usize].kind {
            Kind::BestEffort(_) => self.end(parent, Ok(())),
            Kind::Serial { .. } => match result {
                Ok(()) => self.serial(parent),
                Err(_) if mutant!(SeriesGoesOn) => self.serial(parent),
                Err(failure) => self.end(parent, Err(failure)),
            },
            Kind::Parallel { children, running, failure, .. } => {
                if let Err(new) = result
                    && !mutant!(GroupFailureLost)
                {
                    let place = children.iter().position(|child| *child == node).expect("a child of its parent");
                    if failure.as_ref().is_none_or(|(first, _)| place < *first) {
                        *failure = Some((place, new));
                    }
                }
                *running -= 1;
                if *running == 0 || mutant!(ChildNotJoined) && *running == 1 {
                    self.chunk(parent);
                }
            }
            Kind::Leaf { .. } | Kind::Commit => unreachable!("these have no children"),
        }
    }

    /// Thousandths of the whole plan, when the running top-level step is `part` thousandths done.
    pub(crate) fn progress(&self, node: NodeId, part: u32) -> u32 {
        let Node { kind, parent, weight, .. } = &self.nodes[node as usize];
        let current = match (kind, parent) {
            (Kind::Leaf { .. }, Some(0)) => weight * part,
            _ => 0,
        };
        ((self.weight_done * 1000 + current) / self.weight).min(1000)
    }

    /// A leaf's procedure, taken to be stepped.
    pub(crate) fn take(&mut self, node: NodeId) -> Option<Box<Procedure>> {
        match &mut self.nodes.get_mut(node as usize)?.kind {
            Kind::Leaf { procedure, .. } => procedure.take(),
            _ => None,
        }
    }

    /// A leaf's procedure, put back after a step.
    pub(crate) fn put(&mut self, node: NodeId, stepped: Box<Procedure>) {
        match &mut self.nodes[node as usize].kind {
            Kind::Leaf { procedure, .. } => *procedure = Some(stepped),
            _ => unreachable!("only leaves have procedures"),
        }
    }

    /// Whether a step of the plan has ended, or this leaf has been answered.
    pub(crate) fn is_under_way(&self, node: NodeId) -> bool {
        let answered = match &self.nodes[node as usize].kind {
            Kind::Leaf { procedure, .. } => procedure.as_ref().is_some_and(|procedure| procedure.replies() > 0),
            _ => false,
        };
        answered || self.weight_done > 0
    }

    /// Whether a node is a micro-op.
    pub(crate) fn is_leaf(&self, node: NodeId) -> bool {
        matches!(self.nodes[node as usize].kind, Kind::Leaf { .. })
    }

    /// Whether a node tears the domain down.
    pub(crate) fn is_destroy(&self, node: NodeId) -> bool {
        self.op(node).is_some_and(|op| *op == MicroOp::VmDestroy)
    }

    /// Micro-ops that are being stepped.
    pub(crate) fn live(&self) -> impl Iterator<Item = &MicroOp> {
        (0..self.nodes.len() as NodeId).filter_map(|node| self.op(node))
    }

    fn op(&self, node: NodeId) -> Option<&MicroOp> {
        match &self.nodes[node as usize].kind {
            Kind::Leaf { procedure: Some(procedure), .. } => Some(procedure.op()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fault;

    fn leaf(n: u64) -> Step {
        Step::Do(MicroOp::VmDelay(n))
    }

    /// Run a plan whose leaves fail as told; the order in which they began, and the result.
    fn walk(steps: Vec<Step>, fails: &[u64]) -> (Vec<u64>, Result<(), Failure>) {
        let mut run = Run::new(steps);
        let mut order = Vec::new();
        while run.result().is_none() {
            let node = run.next().expect("a plan that has not ended has something to do");
            match run.begin(node) {
                Begun::Leaf(MicroOp::VmDelay(n)) => {
                    order.push(n);
                    let failed = fails.contains(&n).then(|| Failure::Refused(Fault::Other(n.to_string())));
                    run.end(node, failed.map_or(Ok(()), Err));
                }
                Begun::Commit => run.end(node, Ok(())),
                Begun::Group => {}
                other => panic!("{other:?}"),
            }
        }
        (order, run.result().cloned().expect("it has ended"))
    }

    #[test]
    fn series_stop_at_the_first_failure_and_groups_join_all() {
        let plan = || {
            vec![
                leaf(1),
                Step::Parallel("p", vec![Step::Serial("s", vec![leaf(2), leaf(3)]), leaf(4), leaf(5)]),
                Step::BestEffort(Box::new(leaf(6))),
                Step::Commit,
                leaf(7),
            ]
        };
        assert_eq!(walk(plan(), &[]), (vec![1, 4, 5, 2, 3, 6, 7], Ok(())));
        assert_eq!(walk(plan(), &[6]), (vec![1, 4, 5, 2, 3, 6, 7], Ok(())));
        assert_eq!(walk(plan(), &[1]).0, vec![1]);
        let (order, result) = walk(plan(), &[2, 4, 5]);
        assert_eq!(order, vec![1, 4, 5, 2], "siblings go on, what follows the failed step does not");
        assert_eq!(result, Err(Failure::Refused(Fault::Other("2".to_owned()))), "the first in order");
    }

    #[test]
    fn a_plan_is_as_far_as_its_steps() {
        let mut run = Run::new(vec![leaf(1), leaf(2)]);
        let root = run.next().unwrap();
        run.begin(root);
        let first = run.next().unwrap();
        run.begin(first);
        assert_eq!([0, 500, 1000].map(|part| run.progress(first, part)), [0, 250, 500]);
        assert!(!run.is_under_way(first), "no host has been asked anything yet");
        run.end(first, Ok(()));
        let second = run.next().unwrap();
        run.begin(second);
        assert_eq!([0, 500, 1000].map(|part| run.progress(second, part)), [500, 750, 1000]);
        assert!(run.is_under_way(second));
    }

    // Change `*running == 0` to `*running <= 1` in `end` and the group ends while its last child runs.
    #[test]
    fn h27_a_group_ends_when_its_last_child_has() {
        let mut run = Run::new(vec![Step::Parallel("p", vec![leaf(1), leaf(2), leaf(3)]), leaf(4)]);
        for _ in 0..2 {
            let group = run.next().unwrap();
            run.begin(group);
        }
        let children: Vec<_> = std::iter::from_fn(|| run.next()).collect();
        children.iter().for_each(|child| drop(run.begin(*child)));
        for child in children {
            assert!(run.result().is_none() && run.next().is_none(), "nothing follows a child that runs");
            let failed = Failure::Refused(Fault::Cancelled);
            run.end(child, Err(failed));
        }
        assert_eq!(run.result(), Some(&Err(Failure::Refused(Fault::Cancelled))));
    }

    #[test]
    fn h65_a_group_of_any_size_goes_ten_at_a_time() {
        // Change MAX_PARALLEL_ATOMS to 1000 and all begin at once.
        let mut run = Run::new(vec![Step::Parallel("p", (0..239).map(leaf).collect())]);
        let root = run.next().unwrap();
        run.begin(root);
        let group = run.next().unwrap();
        run.begin(group);
        let mut seen = 0;
        while run.result().is_none() {
            let chunk: Vec<_> = std::iter::from_fn(|| run.next()).collect();
            assert!(!chunk.is_empty() && chunk.len() <= 10);
            seen += chunk.len();
            chunk.into_iter().for_each(|node| run.end(node, Ok(())));
        }
        assert_eq!(seen, 239);
    }
}
