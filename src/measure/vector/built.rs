//! How an index was built, as it says itself: options may have been changed since, and IVFFlat keeps its lists' first pages.

use crate::advice::index_size::PAGE;
use crate::facts::vector::{Element, Method, VectorIndex};
use pgrx::pg_sys::{self, BlockNumber};

const IVFFLAT_MAGIC: u32 = 0x014F_F1A7;
const HNSW_MAGIC: u32 = 0xA953_A953;
/// The first page of lists, after the meta page.
const FIRST_LISTS: BlockNumber = 1;

/// Replaces options by those in force, and tells of an IVFFlat index how many rows it can have been built from.
pub fn read(index: &mut VectorIndex) {
    if index.partitioned || !index.valid {
        return;
    }
    if let Some(relation) = Relation::open(index.oid) {
        match index.method {
            Method::Hnsw { ef_construction, .. } => {
                if let Some(m) = relation.hnsw_m() {
                    index.method = Method::Hnsw { m, ef_construction };
                }
            }
            Method::Ivfflat { .. } => {
                if let Some((lists, pages)) = relation.ivfflat_lists_and_pages() {
                    index.method = Method::Ivfflat { lists };
                    index.most_rows_when_built = pages.zip(rows_per_page(index)).map(|(pages, rows)| pages * rows);
                }
            }
        }
    }
}

/// Tuples of an IVFFlat index on one page.
fn rows_per_page(index: &VectorIndex) -> Option<f64> {
    let tuple = match index.element {
        Element::Sparsevec => return None,
        element => 8.0 + element.value_bytes(f64::from(index.dimensions?)),
    };
    Some(((PAGE - 32.0) / ((tuple / 8.0).ceil() * 8.0 + 4.0)).floor().max(1.0))
}

struct Relation(pg_sys::Relation);

impl Relation {
    /// None: dropped, locked, or without a file, as an unlogged index on a standby.
    fn open(oid: u32) -> Option<Relation> {
        // SAFETY: the lock is released by closing the relation, or with the transaction where that did not exist.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            if !pg_sys::ConditionalLockRelationOid(oid.into(), lock) {
                return None;
            }
            let relation = pg_sys::try_relation_open(oid.into(), pg_sys::NoLock as pg_sys::LOCKMODE);
            if relation.is_null() {
                pg_sys::UnlockRelationOid(oid.into(), lock);
                return None;
            }
            let opened = Relation(relation);
            let unlogged = (*(*relation).rd_rel).relpersistence == pg_sys::RELPERSISTENCE_UNLOGGED as std::ffi::c_char;
            (!(unlogged && pg_sys::RecoveryInProgress())).then_some(opened)
        }
    }

    fn hnsw_m(&self) -> Option<u32> {
        // magic, version, dimensions, m
        let [magic, _, _, options] = self.meta_page()?;
        (magic == HNSW_MAGIC).then_some(options & 0xFFFF).filter(|m| (2..=100).contains(m))
    }

    /// Lists, and the pages that the build wrote for them. What came later is behind those; that the last list has as many pages
    /// as the others on average is assumed.
    fn ivfflat_lists_and_pages(&self) -> Option<(u32, Option<f64>)> {
        // magic, version, dimensions with lists
        let [magic, _, both, _] = self.meta_page()?;
        let lists = Some(both >> 16).filter(|lists| magic == IVFFLAT_MAGIC && *lists > 0)?;
        let pages = || {
            let first = self.item(FIRST_LISTS, false)?;
            // Pages of lists come first, then those of the first list.
            let last = self.item(first.checked_sub(1).filter(|block| *block >= FIRST_LISTS)?, true)?;
            let others = last.checked_sub(first)?;
            (lists > 1).then(|| f64::from(others) * f64::from(lists) / f64::from(lists - 1))
        };
        Some((lists, pages()))
    }

    fn meta_page(&self) -> Option<[u32; 4]> {
        self.with_page(0, |page| {
            // SAFETY: a page is longer than its header and four words behind it.
            unsafe { page.add(24).cast::<[u32; 4]>().read_unaligned() }
        })
    }

    /// The first page of the list that is the first, or the last, on a page of lists.
    fn item(&self, block: BlockNumber, last: bool) -> Option<u32> {
        self.with_page(block, |page| {
            // SAFETY: reads within the page: line pointers lie below pd_lower, and the item's place is checked.
            unsafe {
                let header = page.cast::<pg_sys::PageHeaderData>();
                let items = (usize::from((*header).pd_lower).min(PAGE as usize).checked_sub(24)?) / 4;
                let number = if last { items.checked_sub(1)? } else { 0 };
                let pointer = page.add(24 + 4 * number).cast::<u32>().read_unaligned();
                let offset = (pointer & 0x7FFF) as usize;
                (items > 0 && offset >= 24 && offset + 4 <= PAGE as usize)
                    .then(|| page.add(offset).cast::<u32>().read_unaligned())
            }
        })?
    }

    fn with_page<T>(&self, block: BlockNumber, read: impl FnOnce(*const u8) -> T) -> Option<T> {
        // SAFETY: the relation is open and the block exists; the page is read while its buffer is pinned and locked.
        unsafe {
            if block >= pg_sys::RelationGetNumberOfBlocksInFork(self.0, pg_sys::ForkNumber::MAIN_FORKNUM) {
                return None;
            }
            let buffer = pg_sys::ReadBuffer(self.0, block);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let value = read(pg_sys::BufferGetPage(buffer).cast());
            pg_sys::UnlockReleaseBuffer(buffer);
            Some(value)
        }
    }
}

impl Drop for Relation {
    fn drop(&mut self) {
        // SAFETY: opened by `open`; when an error unwinds, the transaction's end closes it.
        unsafe {
            if !std::thread::panicking() {
                pg_sys::relation_close(self.0, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            }
        }
    }
}
