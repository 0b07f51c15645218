//! From events to records.

use std::sync::Arc;

use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::outbox::Outbox;
use super::record::{Collector, Fields, Record};

/// Puts every event, with the fields of the spans around it, into the outbox.
#[derive(Debug)]
pub(super) struct Layer(pub(super) Arc<Outbox>);

impl<S: Subscriber + for<'span> LookupSpan<'span>> tracing_subscriber::Layer<S> for Layer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut Collector {
            fields: &mut fields,
            message: None,
        });
        span.extensions_mut().replace(fields);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut around = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<Fields>() {
                around.add(fields.clone());
            }
        }
        let callsite = event.metadata().callsite();
        self.0.offer(callsite, Record::of(event, around));
    }
}
