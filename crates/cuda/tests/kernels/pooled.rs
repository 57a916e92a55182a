//! Products behind a pool.

use crate::card::{Card, at, card};
use crate::numbers::{Storage, assert_sums, at_if, numbers};
use crate::product_case::{Case, Gradient, Way};
use crate::reading::{Curve, Norm};
use mobilenet_cuda::driver::Arguments;

const WAYS: [Way; 2] = [Way::F32, Way::Tf32];

/// Pictures, pixels, inputs, outputs: one row; fewer than a tile; more than one in every direction, with odd rests; a depth and
/// more rows than all warps take at once.
const SIZES: [(usize, usize, usize, usize); 4] =
    [(1, 1, 16, 16), (3, 1, 48, 80), (37, 1, 144, 48), (133, 1, 272, 16)];

fn cases(card: &Card) -> impl Iterator<Item = (usize, Case)> + '_ {
    WAYS.into_iter().flat_map(move |way| {
        let case = move |index: usize| {
            (index, Case::new(card, way, SIZES[index], Curve::ALL[index], index % 2 == 1))
        };
        (0..SIZES.len()).map(case)
    })
}

fn grid(rows: usize, columns: usize) -> (usize, [usize; 2]) {
    (rows.div_ceil(32) * columns.div_ceil(32), [256, 1])
}

#[test]
pub fn forward_is_the_product_of_what_is_read() {
    let Some(card) = card() else { return };
    for (index, case) in cases(&card) {
        let Case { rows, inputs, outputs, way, .. } = case;
        let expected = case.expected_forward(index != 2);
        let [input, weight, bias] =
            [&case.input, &case.weight, &case.bias()].map(|values| card.array(values));
        let factors = case.factors.as_ref().map(|values| card.array(values));
        let bias = (index != 2).then_some(bias);
        let norm = Norm::new(&card, 6, outputs, Curve::ALL[(index + 1) % 4]);
        let (output, read_output) =
            (card.room(rows * outputs), (index > 0).then(|| card.room(rows * outputs)));
        let arguments = Arguments::new()
            .with(at(&input))
            .with(case.input_norm.reading())
            .with(at_if(&factors))
            .with(at(&weight))
            .with(at_if(&bias))
            .with(at(&output))
            .with(norm.reading())
            .with(at_if(&read_output))
            .int(rows)
            .int(inputs)
            .int(outputs);
        card.run(&format!("pooled_forward_{}", way.name()), grid(rows, outputs), arguments);
        let (what, output) = (case.what("pooled_forward"), card.read(&output));
        assert_sums(&what, &output, &expected, way.terms(inputs), 1.0, Storage::F32);
        if let Some(read_output) = read_output {
            assert_eq!(card.read(&read_output), norm.read_all(&output), "{what}: what is read of it");
        }
    }
}

#[test]
pub fn the_input_gradient_is_the_product_with_the_outputs() {
    let Some(card) = card() else { return };
    for (index, case) in cases(&card) {
        let Case { rows, inputs, outputs, way, .. } = case;
        let Gradient { gradient, output, norm, own, operands } = case.gradient(&card, Curve::ALL[index]);
        let before = (index == 2).then(|| numbers(9, rows * inputs));
        let expected = case.expected_input_gradient(&operands, true, before.as_deref());
        let expected = case.input_norm.inner_gradient(&expected, &case.input);
        let [gradient, output, weight, input] =
            [&gradient, &output, &case.weight, &case.input].map(|values| card.array(values));
        let factors = case.factors.as_ref().map(|values| card.array(values));
        let input_gradient =
            before.as_ref().map_or_else(|| card.room(rows * inputs), |before| card.array(before));
        let output_gradient = card.room(rows * outputs);
        let arguments = Arguments::new()
            .with(at(&gradient))
            .with(at(&output))
            .with(norm.gradient_reading())
            .with(at(&weight))
            .with(at(&input))
            .with(case.input_norm.reading())
            .with(at_if(&factors))
            .with(at(&input_gradient))
            .int(usize::from(before.is_some()))
            .with(at(&output_gradient))
            .int(rows)
            .int(inputs)
            .int(outputs);
        card.run(&format!("pooled_input_gradient_{}", way.name()), grid(rows, inputs), arguments);
        let (what, terms) = (case.what("pooled_input_gradient"), way.terms(outputs));
        assert_sums(&what, &card.read(&input_gradient), &expected, terms, 1.0, Storage::F32);
        assert_eq!(card.read(&output_gradient), own, "{what}: the output's gradient");
    }
}

#[test]
pub fn the_weight_gradient_is_the_sum_over_all_rows() {
    let Some(card) = card() else { return };
    for (_, case) in cases(&card) {
        let Case { rows, inputs, outputs, way, .. } = case;
        let gradient = numbers(6, rows * outputs);
        let operands: Vec<f64> = gradient.iter().map(|value| way.operand(*value)).collect();
        let expected = case.expected_weight_gradient(&operands);
        let mut bias_expected = vec![0.0; outputs];
        for row in gradient.chunks_exact(outputs) {
            bias_expected.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let [gradient, input] = [&gradient, &case.input].map(|values| card.array(values));
        let factors = case.factors.as_ref().map(|values| card.array(values));
        let (weight_gradient, bias_gradient) = (card.room(outputs * inputs), card.room(outputs));
        let arguments = Arguments::new()
            .with(at(&gradient))
            .with(at(&input))
            .with(case.input_norm.reading())
            .with(at_if(&factors))
            .with(at(&weight_gradient))
            .with(at(&bias_gradient))
            .int(rows)
            .int(inputs)
            .int(outputs);
        card.run(&format!("pooled_weight_gradient_{}", way.name()), grid(outputs, inputs), arguments);
        let (what, terms) = (case.what("pooled_weight_gradient"), way.terms(rows));
        assert_sums(&what, &card.read(&weight_gradient), &expected, terms, 1.0, Storage::F32);
        assert_sums(
            &format!("{what} bias"),
            &card.read(&bias_gradient),
            &bias_expected,
            rows,
            1.0,
            Storage::F32,
        );
    }
}
