//! An allocator that ends the program when more memory is in use than an input may take.
//!
//! libFuzzer's own limit is on the whole process: it knows nothing of an input of a hundred bytes
//! that takes a hundred megabytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The allocator.
pub struct Bounded;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Does something that may take `most_bytes` more than are in use now.
pub fn within<T>(most_bytes: usize, what: impl FnOnce() -> T) -> T {
    let limit = IN_USE.load(Ordering::Relaxed).saturating_add(most_bytes);
    LIMIT.store(limit, Ordering::Relaxed);
    let done = what();
    LIMIT.store(usize::MAX, Ordering::Relaxed);
    done
}

fn add(bytes: usize) {
    let used = IN_USE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    if used > LIMIT.load(Ordering::Relaxed) {
        // Whatever is said of it needs memory, too.
        LIMIT.store(usize::MAX, Ordering::Relaxed);
        eprintln!("{used} bytes of memory are in use, which is too much for this input");
        // An allocator must not unwind.
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it is; the count is beside it.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
