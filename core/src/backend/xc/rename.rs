//! Giving a VM another identity: the domain's handle and the trees in xenstore. Records go with the operation's end.

use super::{device, paths};
use crate::backend::{Failure, Host};
use crate::host::{Batch, DomId, DomainAct, DomainInfo, Found, Nodes, Perms, Query, Uuid};
use crate::interface::Error;

/// Levels of a VM's own trees.
const DEEPEST: u32 = 8;

/// Rename, or go on with a rename that was interrupted: the handle first, then all trees at once.
pub(super) async fn rename(host: &Host, to: Uuid) -> Result<(), Failure> {
    let context = host.context();
    if to == context.id {
        return Err(super::process::internal("vm cannot be renamed to itself"));
    }
    let old = host.find_domains(context.id).await?;
    let new = host.find_domains(to).await?;
    let domids = |infos: &[DomainInfo]| infos.iter().map(|info| info.domid).collect::<Vec<_>>();
    let (old, new) = (domids(&old), domids(&new));
    let trees = Trees::read(host, &to, [&old[..], &new[..]].concat()).await?;
    if old.is_empty() && trees.is_moved {
        return Ok(());
    }
    // A domain that has the new handle already and still belongs to the old tree was being renamed. Another beside it
    // is no other VM's: what somebody has made under the name is dealt with when the rename is done.
    let begun = new.is_empty() || new.iter().any(|domid| trees.ours.contains(domid));
    if !begun || trees.target_taken {
        return Err(Error::AlreadyExists("VM".to_owned(), to.text()).into());
    }
    for domid in &old {
        host.domain(*domid, DomainAct::SetHandle(to)).await?;
    }
    let domid = trees.ours.iter().chain(&old).copied().next();
    let mut batch = Batch::new();
    for domid in trees.domains(host).await? {
        batch.write(paths::owner(domid), paths::vm(&to.text()));
    }
    trees.move_to(&mut batch, &context.text, &to.text(), domid);
    host.store(batch).await.map(|_| ())
}

/// What xenstore has of the VM.
struct Trees {
    /// Domains that name this VM as their own.
    ours: Vec<DomId>,
    /// It has been moved; only its rows have not.
    is_moved: bool,
    /// Another VM stands where this one is to go.
    target_taken: bool,
    vm: Nodes,
    scratch: Nodes,
}

impl Trees {
    async fn read(host: &Host, to: &Uuid, domids: Vec<DomId>) -> Result<Trees, Failure> {
        let from = &host.context().text;
        let tree = |path| Query::Tree { path, depth: DEEPEST, limit: device::MOST_NODES };
        let mut queries = vec![
            tree(paths::vm(from)),
            tree(paths::scratch(from)),
            Query::Value(paths::below(&paths::vm(&to.text()), "uuid")),
            Query::Value(renamed_from(&to.text())),
        ];
        queries.extend(domids.iter().map(|domid| Query::Value(paths::owner(*domid))));
        let mut found = host.read(queries).await?.into_iter();
        let mut nodes = || match found.next() {
            Some(Found::Tree(nodes)) => nodes,
            _ => Nodes::default(),
        };
        let (vm, scratch) = (nodes(), nodes());
        let target_taken = matches!(found.next(), Some(Found::Value(Some(_))));
        let is_moved = found.next() == Some(Found::Value(Some(from.to_string())));
        let owner = Found::Value(Some(paths::vm(from)));
        let ours = domids.into_iter().zip(found).filter(|(_, found)| *found == owner).map(|(domid, _)| domid).collect();
        Ok(Trees { ours, is_moved, target_taken, vm, scratch })
    }

    /// Domains that say they are this VM's: the living one, and those of which only xenstore still knows.
    async fn domains(&self, host: &Host) -> Result<Vec<DomId>, Failure> {
        let named = self.vm.iter().filter_map(|(path, _)| path.strip_prefix("domains/")?.parse().ok());
        let domids: Vec<DomId> = named.collect();
        let owners = domids.iter().map(|domid| Query::Value(paths::owner(*domid))).collect();
        let owner = Found::Value(Some(paths::vm(&host.context().text)));
        let found = if domids.is_empty() { Vec::new() } else { host.read(owners).await? };
        Ok(domids.into_iter().zip(found).filter(|(_, found)| *found == owner).map(|(domid, _)| domid).collect())
    }

    fn move_to(self, batch: &mut Batch, from: &str, to: &str, domid: Option<DomId>) {
        let readable = domid.map_or(Perms::dom0(), |domid| Perms::readable(0, domid));
        let moves = [
            (self.vm, paths::vm(from), paths::vm(to), readable),
            (self.scratch, paths::scratch(from), paths::scratch(to), Perms::dom0()),
        ];
        for (nodes, old, new, perms) in moves {
            if nodes.is_empty() {
                continue;
            }
            batch.mkdir(&new, perms);
            for (path, value) in nodes.iter() {
                batch.write(format!("{new}/{}", path.replace(from, to)), value.replace(from, to));
            }
            batch.remove(old);
        }
        // Rows follow: should that fail, this tells a move that is done from a target that is taken.
        batch.write(renamed_from(to), from);
    }
}

fn renamed_from(uuid: &str) -> String {
    paths::below(&paths::scratch(uuid), "renamed-from")
}
