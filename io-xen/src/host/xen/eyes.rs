//! Where a wait looks on a Xen host, and what tells it to look again.

use super::Parts;
use super::waits::{Ear, Seen, Subjects, World};
use crate::bell::Bell;
use crate::xenstore::interest::Interest;
use std::rc::Rc;
use xenops_core::host::Fault;

/// What tells of domains that stop or disappear.
const RELEASE: &str = "@releaseDomain";

struct Listening {
    bell: Rc<Bell>,
    interest: Option<Interest>,
}

impl Ear for Listening {
    async fn changed(&self) -> Result<(), Fault> {
        let heard = async {
            self.bell.heard().await;
            Ok(())
        };
        match &self.interest {
            None => heard.await,
            Some(interest) => {
                let changed =
                    async { interest.changed().await.map_err(|error| error.fault("watch what is waited for")) };
                smol::future::or(heard, changed).await
            }
        }
    }
}

impl World for Parts {
    fn listen(&self, subjects: &Subjects) -> impl Ear {
        let bell = Rc::new(Bell::default());
        for process in &subjects.processes {
            if let Some(running) = self.processes.get(*process) {
                running.listen(&bell);
            }
        }
        let mut paths = subjects.paths.clone();
        paths.extend((!subjects.domains.is_empty()).then(|| RELEASE.to_owned()));
        let interest = (!paths.is_empty()).then(|| self.store.interest(&paths));
        if interest.is_none() {
            bell.ring();
        }
        Listening { bell, interest }
    }

    async fn see(&self, subjects: &Subjects) -> Result<Seen, Fault> {
        let mut seen = Seen::default();
        if !subjects.paths.is_empty() {
            let values = self.store.values(&subjects.paths).await;
            let values = values.map_err(|error| error.fault("read what is waited for"))?;
            let present = |path: &String| Some((path.clone(), values.get(path)?.to_owned()));
            seen.values = subjects.paths.iter().filter_map(present).collect();
        }
        let processes = subjects.processes.iter();
        seen.processes =
            processes.filter_map(|process| Some((*process, self.processes.get(*process)?.shown()))).collect();
        for domid in subjects.domains.iter().copied() {
            seen.domains.extend(self.xen(move |xen| xen.look(domid)).await?);
        }
        if subjects.memory {
            seen.free_memory = self.xen(|xen| xen.memory()).await?.free;
        }
        Ok(seen)
    }
}
