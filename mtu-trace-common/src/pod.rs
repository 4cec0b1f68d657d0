//! Marks the map keys and values as types that aya may copy to and from the kernel.

use crate::map::{Aggregate, ConnectionEntry, DeviceKey, DeviceLimits, DropKey, FlowKey};

macro_rules! pod {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: the type is `repr(C)`, has no padding and no invalid bit patterns; zerocopy's
            // `FromBytes` and `IntoBytes` derives on it prove both at compile time.
            unsafe impl aya::Pod for $name {}
        )+
    };
}

pod!(
    Aggregate,
    ConnectionEntry,
    DeviceKey,
    DeviceLimits,
    DropKey,
    FlowKey
);
