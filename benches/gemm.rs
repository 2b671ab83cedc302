//! The 1x1 convolutions of ResNet50, as products of as many pixels as a chunk has.

use divan::counter::ItemsCount;
use ec2train::kernels::gemm::{Contiguous, Epilogue, PackedWeights, gemm};
use ec2train::kernels::isa::Isa;

fn main() {
    divan::main();
}

/// Pixels, input channels, output channels.
const SHAPES: [(usize, usize, usize); 8] = [
    (56 * 56, 64, 256),
    (56 * 56, 256, 64),
    (28 * 28, 128, 512),
    (28 * 28, 512, 128),
    (8 * 14 * 14, 256, 1024),
    (8 * 14 * 14, 1024, 256),
    (8 * 7 * 7, 512, 2048),
    (8 * 7 * 7, 2048, 512),
];

/// Items are multiply-adds.
#[divan::bench(args = SHAPES)]
fn product(bencher: divan::Bencher, (num_rows, depth, num_outputs): (usize, usize, usize)) {
    let isa = Isa::fastest();
    let values: Vec<f32> = (0..num_rows * depth).map(|i| (i % 101) as f32 / 101.0).collect();
    let weights = PackedWeights::new(isa, 1, depth, num_outputs, |_, d, output| {
        ((d * 31 + output * 17) % 103) as f32 / 103.0
    });
    let bias = vec![0.5; num_outputs];
    let mut out = vec![0.0; num_rows * num_outputs];
    bencher.counter(ItemsCount::new(num_rows * depth * num_outputs)).bench_local(|| {
        let rows = Contiguous { values: &values, row_len: depth };
        let epilogue = Epilogue { bias: &bias, add: false, relu: true };
        gemm(isa, &rows, &weights, epilogue, &mut out);
    });
}

/// The same by tiles, where this CPU has any.
#[cfg(all(feature = "native", target_arch = "x86_64"))]
mod tiles {
    use divan::counter::ItemsCount;
    use ec2train::kernels::amx::Amx;
    use ec2train::kernels::arithmetic::Arithmetic;
    use ec2train::kernels::gemm::{Contiguous, Epilogue};

    use super::SHAPES;

    #[divan::bench(args = if Amx::detect().is_some() { &SHAPES[..] } else { &[] })]
    fn product(bencher: divan::Bencher, (num_rows, depth, num_outputs): (usize, usize, usize)) {
        let Some(amx) = Amx::detect() else { return };
        let numbers: Vec<f32> = (0..num_rows * depth).map(|i| (i % 101) as f32 / 101.0).collect();
        let mut values = vec![0; num_rows * depth / 2];
        amx.round(&numbers, &mut values);
        let weights = amx.pack(1, depth, num_outputs, |output, row: &mut [f32]| {
            for (d, value) in row.iter_mut().enumerate() {
                *value = ((d * 31 + output * 17) % 103) as f32 / 103.0;
            }
        });
        let bias = vec![0.5; num_outputs];
        let mut out = vec![0; num_rows * num_outputs / 2];
        bencher.counter(ItemsCount::new(num_rows * depth * num_outputs)).bench_local(|| {
            let rows = Contiguous { values: &values, row_len: depth / 2 };
            let epilogue = Epilogue { bias: &bias, add: false, relu: true };
            amx.multiply(&rows, &weights, epilogue, &mut out);
        });
    }
}
