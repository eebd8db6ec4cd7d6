//! The places by which an ack names messages of its batch, where processors have made several messages of one.

use crate::ack::{Ack, Transaction};
use crate::message::{Batch, Message};

/// Messages that were made of one share its place, and new ones have none: whoever tries again what has failed would write
/// their siblings again, too. Such a batch gets places of its own; its ack is told the old ones.
pub(crate) fn apart(transaction: Transaction) -> Transaction {
    if told_apart(&transaction.batch) {
        return transaction;
    }
    let Transaction { mut batch, ack } = transaction;
    let places: Vec<Option<u32>> = batch.iter().map(Message::place).collect();
    renumber(&mut batch);
    let ack = Ack::new(move |outcome| {
        ack.done(outcome.map_err(|reason| {
            let failed = (places.iter().enumerate())
                .filter(|(index, _)| reason.concerns(u32::try_from(*index).ok()))
                .map(|(_, place)| *place)
                .collect();
            reason.at_places(failed)
        }));
    });
    Transaction { batch, ack }
}

/// Places in the order of the batch.
fn renumber(batch: &mut Batch) {
    for (index, message) in batch.iter_mut().enumerate() {
        message.set_place(u32::try_from(index).unwrap_or(u32::MAX));
    }
}

/// Whether every message has a place that no other one has.
fn told_apart(batch: &[Message]) -> bool {
    if batch.len() < 2 {
        return true;
    }
    // A place that is missing comes last.
    let place = |message: &Message| message.place().unwrap_or(u32::MAX);
    let all_placed = batch.iter().all(|message| message.place().is_some());
    if !all_placed || batch.is_sorted_by(|one, next| place(one) < place(next)) {
        return all_placed;
    }
    let mut places: Vec<u32> = batch.iter().map(place).collect();
    places.sort_unstable();
    places.is_sorted_by(|one, next| one < next)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::ack::NackReason;

    #[test]
    fn shared_places_are_told_apart_and_led_back() {
        // Places before, those that fail by position, and whether each of the places 0 to 3 has failed for the source.
        for (places, failing, expected) in [
            (&[Some(0), Some(1), Some(2)][..], &[1][..], [false, true, false, false]),
            (&[Some(2), Some(0)], &[0], [false, false, true, false]),
            (&[Some(0), Some(0), Some(1)], &[1], [true, false, false, false]),
            (&[Some(1), Some(3), Some(1)], &[0, 1, 2], [false, true, false, true]),
            // What has no place is of no message in particular.
            (&[Some(0), None], &[1], [true; 4]),
            (&[Some(0), None], &[0], [true, false, false, false]),
        ] {
            let batch = (places.iter())
                .map(|place| {
                    let mut message = Message::new("");
                    place.iter().for_each(|place| message.set_place(*place));
                    message
                })
                .collect();
            let seen = Arc::new(Mutex::new(None));
            let told = seen.clone();
            let ack = Ack::new(move |outcome| *told.lock() = outcome.err());
            let Transaction { batch, ack } = apart(Transaction { batch, ack });
            assert!(told_apart(&batch), "{places:?}");
            ack.done(Err(NackReason::failed("no").only(failing.iter().map(|index| &batch[*index]))));
            let reason = seen.lock().take().unwrap();
            let concerned = [0, 1, 2, 3].map(|place| reason.concerns(Some(place)));
            assert_eq!(concerned, expected, "{places:?} {failing:?}");
        }
    }
}
