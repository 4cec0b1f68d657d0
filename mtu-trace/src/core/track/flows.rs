//! The flows of one connection: few, and each once.

use std::ops::Deref;
use std::vec;

use crate::model::event::Flow;

/// Flows in their order. A list, because it takes a tenth of the memory that a tree takes for one or
/// two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows(Vec<Flow>);

impl Flows {
    /// Adds a flow that may be there already.
    pub(crate) fn insert(&mut self, flow: Flow) {
        if let Err(place) = self.0.binary_search(&flow) {
            // One or two are all that most have, and a list that grows by itself begins with four.
            if self.0.len() < 2 {
                self.0.reserve_exact(1);
            }
            self.0.insert(place, flow);
        }
    }
}

impl Deref for Flows {
    type Target = [Flow];

    fn deref(&self) -> &[Flow] {
        &self.0
    }
}

impl Extend<Flow> for Flows {
    fn extend<T: IntoIterator<Item = Flow>>(&mut self, flows: T) {
        for flow in flows {
            self.insert(flow);
        }
    }
}

impl FromIterator<Flow> for Flows {
    fn from_iter<T: IntoIterator<Item = Flow>>(flows: T) -> Self {
        let mut all = Self::default();
        all.extend(flows);
        all
    }
}

impl IntoIterator for Flows {
    type Item = Flow;
    type IntoIter = vec::IntoIter<Flow>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
