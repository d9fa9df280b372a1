//! The hypervisor's own list of domains, looked at now and then: oxenstored 4.17 may never tell of one that has ended.

use crate::inbox::{Arrival, Inbox};
use smol::Timer;
use std::convert::Infallible;
use std::time::Duration;
use xenops_core::host::{DomId, DomainInfo, Fault, ShutdownCode, Token};

/// How often. What is told in time is never seen here first.
pub const PACE: Duration = Duration::from_secs(5);

/// What a watch of domains would have told of.
#[derive(Debug, Default)]
pub struct Census(Option<Vec<(DomId, Option<ShutdownCode>, bool)>>);

impl Census {
    /// Counts; whether anything has changed since it counted last.
    fn count(&mut self, domains: &[DomainInfo]) -> bool {
        let mut found: Vec<_> = domains.iter().map(|domain| (domain.domid, domain.shutdown, domain.dying)).collect();
        found.sort_unstable_by_key(|(domid, ..)| *domid);
        let before = self.0.replace(found);
        before.is_some() && before != self.0
    }

    /// Counts for ever, and raises `Token::DOMAINS` where something has changed. Who cannot count now does so next time.
    pub async fn keep(mut self, list: impl AsyncFn() -> Result<Vec<DomainInfo>, Fault>, inbox: &Inbox) -> Infallible {
        loop {
            if let Ok(domains) = list().await
                && self.count(&domains)
            {
                inbox.push(Arrival::Noticed(Token::DOMAINS));
            }
            Timer::after(PACE).await;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use xenops_core::host::Uuid;

    pub(in crate::host::xen) fn domain(domid: DomId, shutdown: Option<ShutdownCode>, dying: bool) -> DomainInfo {
        let (total_pages, max_pages, cpu_time, vcpus) = (0, 0, 0, 1);
        let (handle, paused, hvm) = (Uuid::default(), false, false);
        DomainInfo { domid, handle, paused, dying, shutdown, hvm, total_pages, max_pages, cpu_time, vcpus }
    }

    #[test]
    fn what_a_watch_would_tell_of_is_noticed_once() {
        let mut census = Census::default();
        let lists = [
            (vec![domain(0, None, false), domain(1, None, false)], false),
            (vec![domain(1, None, false), domain(0, None, false)], false),
            (vec![domain(0, None, false), domain(1, Some(ShutdownCode::Poweroff), false)], true),
            (vec![domain(0, None, false), domain(1, Some(ShutdownCode::Poweroff), false)], false),
            (vec![domain(0, None, false), domain(1, Some(ShutdownCode::Poweroff), true)], true),
            (vec![domain(0, None, false)], true),
            (vec![domain(0, None, false)], false),
        ];
        for (list, changed) in lists {
            assert_eq!(census.count(&list), changed, "{list:?}");
        }
    }
}
