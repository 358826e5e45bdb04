//! Reorders the pieces of a text in place.

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Its place in the new order, counted from 0.
    pub(super) rank: usize,
    /// Its length in bytes.
    pub(super) len: usize,
}

/// The buffer for a small text, in bytes; for a large one it is an eighth of the text.
const MIN_BUFFER_BYTES: usize = 1 << 20;

/// Reorders `text`, which consists of `pieces` one after the other. The time grows with its bytes, and with the square of
/// the logarithm of its size in buffers.
pub(super) fn arrange(text: &mut [u8], pieces: &mut [Piece], buffer: &mut Vec<u8>) {
    let mut lens = vec![0; pieces.len()];
    for piece in pieces.iter() {
        if let Some(len) = lens.get_mut(piece.rank) {
            *len = piece.len;
        }
    }
    let bound = (text.len() / 8).max(MIN_BUFFER_BYTES);
    Arranger { lens: &lens, bound, buffer }.arrange(text, pieces, 0);
}

struct Arranger<'a> {
    /// The length of the piece of each rank.
    lens: &'a [usize],
    bound: usize,
    buffer: &'a mut Vec<u8>,
}

impl Arranger<'_> {
    /// Arranges pieces of the ranks from `first` on.
    fn arrange(&mut self, text: &mut [u8], pieces: &mut [Piece], first: usize) {
        if pieces.len() < 2 || pieces.is_sorted_by_key(|piece| piece.rank) {
            return;
        }
        if text.len() <= self.bound {
            return self.through_buffer(text, pieces, |piece| piece.rank);
        }
        let lens = self.lens.get(first..first + pieces.len()).unwrap_or_default();
        let middle = first + halfway(lens.iter().copied(), text.len(), pieces.len());
        let (count, bytes) = self.partition(text, pieces, middle);
        let ((low, high), (low_pieces, high_pieces)) = (text.split_at_mut(bytes), pieces.split_at_mut(count));
        self.arrange(low, low_pieces, first);
        self.arrange(high, high_pieces, middle);
    }

    /// Sorts pieces by a key, stably.
    fn through_buffer(&mut self, text: &mut [u8], pieces: &mut [Piece], key: impl Fn(&Piece) -> usize) {
        self.buffer.clear();
        self.buffer.reserve_exact(text.len());
        self.buffer.extend_from_slice(text);
        let mut at = 0;
        let mut starts: Vec<(Piece, usize)> = Vec::with_capacity(pieces.len());
        for &piece in pieces.iter() {
            starts.push((piece, at));
            at += piece.len;
        }
        starts.sort_by_key(|(piece, _)| key(piece));
        let mut rest = text;
        for (place, (piece, start)) in pieces.iter_mut().zip(starts) {
            let (into, after) = rest.split_at_mut(piece.len.min(rest.len()));
            if let Some(from) = self.buffer.get(start..start + into.len()) {
                into.copy_from_slice(from);
            }
            (*place, rest) = (piece, after);
        }
    }

    /// Moves the pieces of ranks below `middle` to the front, stably. Returns their number and bytes.
    fn partition(&mut self, text: &mut [u8], pieces: &mut [Piece], middle: usize) -> (usize, usize) {
        let (count, bytes) = (pieces.iter().filter(|piece| piece.rank < middle))
            .fold((0, 0), |(count, bytes), piece| (count + 1, bytes + piece.len));
        if pieces.is_sorted_by_key(|piece| piece.rank >= middle) {
            return (count, bytes);
        }
        if text.len() <= self.bound {
            self.through_buffer(text, pieces, |piece| usize::from(piece.rank >= middle));
            return (count, bytes);
        }
        let half = halfway(pieces.iter().map(|piece| piece.len), text.len(), pieces.len());
        let half_bytes: usize = pieces.iter().take(half).map(|piece| piece.len).sum();
        let ((left, right), (left_pieces, right_pieces)) = (text.split_at_mut(half_bytes), pieces.split_at_mut(half));
        let (low_left, low_left_bytes) = self.partition(left, left_pieces, middle);
        let (low_right, low_right_bytes) = self.partition(right, right_pieces, middle);
        if let Some(between) = text.get_mut(low_left_bytes..half_bytes + low_right_bytes) {
            between.rotate_left(half_bytes - low_left_bytes);
        }
        if let Some(between) = pieces.get_mut(low_left..half + low_right) {
            between.rotate_left(half - low_left);
        }
        (count, bytes)
    }
}

/// Counts the first pieces that make about half of the bytes: at least one and not all.
fn halfway(lens: impl Iterator<Item = usize>, bytes: usize, count: usize) -> usize {
    let mut sum = 0;
    let before = lens.take_while(|len| {
        sum += len;
        sum <= bytes / 2
    });
    before.count().clamp(1, count.saturating_sub(1).max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_come_into_order(lens in prop::collection::vec(0usize..40, 1..60), seed in any::<u64>(), bound in 0usize..50) {
            let count = lens.len();
            let mut ranks: Vec<usize> = (0..count).collect();
            let mut state = seed;
            for at in (1..count).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ranks.swap(at, (state >> 33) as usize % (at + 1));
            }
            let piece = |at: usize| vec![u8::try_from(ranks[at]).unwrap(); lens[at]];
            let mut text: Vec<u8> = (0..count).flat_map(piece).collect();
            let mut pieces: Vec<Piece> = (0..count).map(|at| Piece { rank: ranks[at], len: lens[at] }).collect();
            let mut expected = text.clone();
            expected.sort_unstable();
            let mut by_rank = vec![0; count];
            pieces.iter().for_each(|piece| by_rank[piece.rank] = piece.len);
            Arranger { lens: &by_rank, bound, buffer: &mut Vec::new() }.arrange(&mut text, &mut pieces, 0);
            prop_assert_eq!(text, expected);
            prop_assert!(pieces.iter().enumerate().all(|(at, piece)| piece.rank == at));
        }
    }

    #[test]
    fn a_large_text_is_arranged_with_an_eighth_of_it_buffer() {
        let huge = 12 << 20;
        let mut text = [vec![b'z'; huge], vec![b'a'; 100], vec![b'b'; 3 << 20]].concat();
        let mut pieces = [Piece { rank: 2, len: huge }, Piece { rank: 0, len: 100 }, Piece { rank: 1, len: 3 << 20 }];
        let mut buffer = Vec::new();
        arrange(&mut text, &mut pieces, &mut buffer);
        assert!(text.is_sorted());
        assert!(buffer.capacity() <= text.len() / 8, "{}", buffer.capacity());
    }
}
