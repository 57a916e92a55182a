//! Optimizers, the limit of the gradients' norm, and the copies of the parameters.

use crate::card::{Card, NULL, at, card, flat};
use crate::loss::StepScalars;
use crate::numbers::{numbers, to_bfloat16};
use mobilenet_cuda::driver::{Argument, Arguments};

#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Constants {
    decay: f32,
    largest: f32,
    keep1: f32,
    new1: f32,
    keep2: f32,
    new2: f32,
    eps: f32,
    nesterov: i32,
    split: i32,
    unused: [i32; 3],
}

// SAFETY: 48 bytes as `kernels/README.md` has them, none of them padding.
unsafe impl Argument for Constants {}

const COUNT: usize = 16 * 37;
const SPLIT: usize = 16 * 30;

/// One parameter with what is kept of it, in float64.
#[derive(Debug, Clone, Copy)]
struct Value {
    parameter: f64,
    first: f64,
    second: f64,
}

/// The definitions: `g` with decay in it already, and the numbers of the parameter's group.
type Rule = fn(Value, f64, &Constants, rate: f64, root2: f64, keep: f64) -> Value;

fn adam(value: Value, g: f64, c: &Constants, rate: f64, root2: f64, keep: f64) -> Value {
    let first = f64::from(c.keep1) * value.first + f64::from(c.new1) * g;
    let second = f64::from(c.keep2) * value.second + f64::from(c.new2) * g * g;
    let parameter = keep * value.parameter - rate * first / (second.sqrt() / root2 + f64::from(c.eps));
    Value { parameter, first, second }
}

fn sgd(value: Value, g: f64, c: &Constants, rate: f64, _: f64, _: f64) -> Value {
    let momentum = f64::from(c.keep1);
    let first = if momentum == 0.0 { value.first } else { momentum * value.first + g };
    let along = match (momentum == 0.0, c.nesterov) {
        (true, _) => g,
        (false, 0) => first,
        (false, _) => g + momentum * first,
    };
    Value { parameter: value.parameter - rate * along, first, ..value }
}

fn rms_prop(value: Value, g: f64, c: &Constants, rate: f64, _: f64, _: f64) -> Value {
    let first = f64::from(c.keep2) * value.first + f64::from(c.new2) * g * g;
    let direction = g / (first.sqrt() + f64::from(c.eps));
    let second = if c.keep1 == 0.0 { value.second } else { f64::from(c.keep1) * value.second + direction };
    let along = if c.keep1 == 0.0 { direction } else { second };
    Value { parameter: value.parameter - rate * along, first, second }
}

fn rms_prop_tf(value: Value, g: f64, c: &Constants, rate: f64, _: f64, _: f64) -> Value {
    let first = value.first + f64::from(c.new2) * (g * g - value.first);
    let step = rate * g / (first + f64::from(c.eps)).sqrt();
    let second = if c.keep1 == 0.0 { value.second } else { f64::from(c.keep1) * value.second + step };
    let along = if c.keep1 == 0.0 { step } else { second };
    Value { parameter: value.parameter - along, first, second }
}

/// One step of a kernel, against its definition. `used`: which buffers the optimizer has.
fn check(
    card: &Card,
    name: &str,
    rule: Rule,
    constants: Constants,
    used: [bool; 2],
    shadowed: bool,
    clip: Option<f32>,
) {
    let step =
        StepScalars { rate: [0.01, 0.1], root2: [0.5, 0.9], keep: [0.99, 0.9], ..StepScalars::default() };
    let (parameters, gradients) = (numbers(1, COUNT), numbers(2, COUNT));
    let positive =
        |seed| numbers(seed, COUNT).into_iter().map(|value| value.abs() + 0.1).collect::<Vec<f32>>();
    let (first, second) = (positive(3), positive(4));
    let decays: Vec<u8> = (0..COUNT / 16).map(|block| u8::from(block % 3 == 0)).collect();

    let (p, g, d) = (card.array(&parameters), card.array(&gradients), card.array(&decays));
    let (a, b) = (card.array(&first), card.array(&second));
    let shadow = card.array(&vec![0x7fffu16; COUNT]);
    let clip_buffer = clip.map(|scale| card.array(&[scale]));
    let scalars = card.array(&[step]);
    let arguments = Arguments::new()
        .with(at(&p))
        .with(at(&g))
        .with(if used[0] { at(&a) } else { NULL })
        .with(if used[1] { at(&b) } else { NULL })
        .with(if shadowed { at(&shadow) } else { NULL })
        .with(at(&d))
        .with(clip_buffer.as_ref().map_or(NULL, at))
        .with(constants)
        .with(at(&scalars))
        .int(COUNT);
    card.run(name, flat(COUNT / 4), arguments);

    let ours = [&p, &a, &b].map(|buffer| card.read(buffer));
    let shadow = card.read(&shadow);
    let decoupled = name == "optimizer_adamw";
    for index in 0..COUNT {
        let what = format!("{name} {index}");
        let before = [parameters[index], first[index], second[index]];
        let group = usize::from(index >= constants.split as usize);
        let decays = decays[index / 16] == 1;
        let limit = f64::from(constants.largest);
        let mut g = (f64::from(gradients[index]) * clip.map_or(1.0, f64::from)).clamp(-limit, limit);
        if decays && !decoupled {
            g += f64::from(constants.decay) * f64::from(parameters[index]);
        }
        let keep = if decays && decoupled { f64::from(step.keep[group]) } else { 1.0 };
        let [parameter, first, second] = before.map(f64::from);
        let value = Value { parameter, first, second };
        let (rate, root2) = (f64::from(step.rate[group]), f64::from(step.root2[group]));
        let expected = rule(value, g, &constants, rate, root2, keep);
        // Some ten operations of numbers of about 1, each rounded.
        let near = |ours: f32, expected: f64| {
            assert!(
                (f64::from(ours) - expected).abs() < 6e-7 * expected.abs().max(1.0),
                "{what}: {ours}, {expected}"
            );
        };
        near(ours[0][index], expected.parameter);
        near(ours[1][index], if used[0] { expected.first } else { first });
        near(ours[2][index], if used[1] { expected.second } else { second });
        let bits = (to_bfloat16(ours[0][index]).to_bits() >> 16) as u16;
        assert_eq!(shadow[index], if shadowed { bits } else { 0x7fff }, "{what}");
    }
}

#[test]
fn steps_are_their_definitions() {
    let Some(card) = card() else { return };
    let adam_constants = Constants {
        decay: 0.1,
        largest: f32::INFINITY,
        keep1: 0.9,
        new1: 0.1,
        keep2: 0.999,
        new2: 0.001,
        eps: 1e-8,
        nesterov: 0,
        split: SPLIT as i32,
        unused: [0; 3],
    };
    let head = Constants { split: 0, largest: 0.5, ..adam_constants };
    check(&card, "optimizer_adam", adam, adam_constants, [true, true], true, None);
    check(&card, "optimizer_adam", adam, head, [true, true], false, Some(0.7));
    check(&card, "optimizer_adamw", adam, adam_constants, [true, true], true, Some(0.3));
    let sgd_constants = Constants { keep1: 0.9, ..adam_constants };
    check(&card, "optimizer_sgd", sgd, Constants { keep1: 0.0, ..sgd_constants }, [false, false], true, None);
    check(&card, "optimizer_sgd", sgd, sgd_constants, [true, false], true, None);
    check(
        &card,
        "optimizer_sgd",
        sgd,
        Constants { nesterov: 1, ..sgd_constants },
        [true, false],
        false,
        Some(0.5),
    );
    let rms_constants = Constants { keep1: 0.9, keep2: 0.99, new2: 0.01, ..adam_constants };
    let still = Constants { keep1: 0.0, ..rms_constants };
    check(&card, "optimizer_rms_prop", rms_prop, rms_constants, [true, true], true, None);
    check(&card, "optimizer_rms_prop", rms_prop, still, [true, false], true, None);
    check(&card, "optimizer_rms_prop_tf", rms_prop_tf, rms_constants, [true, true], true, None);
    check(&card, "optimizer_rms_prop_tf", rms_prop_tf, still, [true, false], true, None);
}

#[test]
pub fn the_norm_of_all_gradients_is_limited() {
    let Some(card) = card() else { return };
    for count in [1usize, 300, 600_000] {
        let gradients = numbers(1, count);
        let norm = gradients.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt();
        for most in [norm / 3.0, norm * 3.0] {
            let (buffer, partials, scale) = (card.array(&gradients), card.room64(1024), card.room(1));
            let arguments = Arguments::new().with(at(&buffer)).int(count).with(at(&partials));
            card.run("gradient_norm", (1024, [256, 1]), arguments);
            let arguments = Arguments::new().with(at(&partials)).with(most).with(at(&scale));
            card.run("clip_finish", (1, [256, 1]), arguments);
            let expected = (most / (norm + 1e-6)).min(1.0) as f32;
            assert!((card.read(&scale)[0] - expected).abs() <= expected * f32::EPSILON);
        }
    }
}

#[test]
fn averages_move_as_lerp_and_the_shadow_is_rounded() {
    let Some(card) = card() else { return };
    let (averages, values) = (numbers(1, 100), numbers(2, 100));
    for weight in [0.0f64, 0.001, 0.7, 1.0] {
        let step = StepScalars {
            average_weight: weight as f32,
            average_rest: (1.0 - weight) as f32,
            average_near: i32::from(weight < 0.5),
            ..StepScalars::default()
        };
        let (buffer, values_buffer, scalars) =
            (card.array(&averages), card.array(&values), card.array(&[step]));
        let arguments = Arguments::new()
            .with(at(&buffer))
            .with(at(&values_buffer))
            .with(at(&scalars))
            .int(averages.len());
        card.run("average_update", flat(averages.len()), arguments);
        let expected = averages.iter().zip(&values).map(|(average, value)| {
            let difference = value - average;
            if weight < 0.5 {
                average + weight as f32 * difference
            } else {
                value - difference * (1.0 - weight) as f32
            }
        });
        assert_eq!(card.read(&buffer), expected.collect::<Vec<f32>>());
    }
    let special =
        [&values[..], &[f32::NAN, f32::INFINITY, -0.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]].concat();
    let (buffer, shadow) = (card.array(&special), card.array(&vec![1u16; special.len()]));
    let arguments = Arguments::new().with(at(&buffer)).with(at(&shadow)).int(special.len());
    card.run("convert_parameters", flat(special.len()), arguments);
    for (bits, value) in card.read(&shadow).into_iter().zip(special) {
        let ours = f32::from_bits(u32::from(bits) << 16);
        assert!(
            ours.to_bits() == to_bfloat16(value).to_bits() || (ours.is_nan() && value.is_nan()),
            "{value}: {ours}"
        );
    }
}
