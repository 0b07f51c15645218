//! What the next person in front of the sign-in page does, for tests without a browser.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Orders that wait; an order above this replaces the oldest.
const ORDERS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Order {
    /// Signs in under this name.
    SignIn(String),
    /// Does not want to.
    Decline,
}

#[derive(Debug, Default)]
pub(in crate::sandbox) struct Orders(Mutex<VecDeque<Order>>);

impl Orders {
    pub(in crate::sandbox) fn give(&self, order: Order) {
        let mut orders = self.lock();
        if orders.len() == ORDERS_MAX {
            orders.pop_front();
        }
        orders.push_back(order);
    }

    pub(super) fn take(&self) -> Option<Order> {
        self.lock().pop_front()
    }

    pub(in crate::sandbox) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Order>> {
        // Whole at every step: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
