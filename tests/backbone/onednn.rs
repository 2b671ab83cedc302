//! Fused convolutions. A test of a precision that this CPU does not run says so and checks
//! nothing.

use ec2train::model::backbone::{OnednnBackbone, Precision, check_support};
use ec2train::model::fold::fold;
use ec2train::model::resnet::{self, ConvNorm};
use ec2train::model::state_dict::StateDict;
use tch::{Kind, Tensor};

use crate::formula::{
    IMAGE_LEN, assert_aligned, assert_close, golden_features, pixels, state_dict,
};

/// The backbone, if this CPU runs `precision`.
fn backbone(precision: Precision, batch: usize) -> Option<OnednnBackbone> {
    match check_support(precision) {
        Ok(()) => Some(OnednnBackbone::new(&state_dict(), precision, batch).unwrap()),
        Err(why) => {
            eprintln!("SKIPPED, nothing checked: no fused {precision} convolutions here: {why}");
            None
        }
    }
}

fn features(backbone: &OnednnBackbone, pixels: &[f32]) -> Vec<f32> {
    let mut features = vec![f32::NAN; pixels.len() / IMAGE_LEN * 2048];
    backbone.forward(pixels, &mut features, None).unwrap();
    features
}

/// The elements of an f32 tensor.
fn to_vec(tensor: &Tensor) -> Result<Vec<f32>, tch::TchError> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

#[test]
fn fp32_features_are_those_of_torchvision() {
    let Some(backbone) = backbone(Precision::Fp32, 2) else { return };
    assert_close(&features(&backbone, &pixels()), &golden_features());
}

#[test]
fn the_features_of_an_image_do_not_depend_on_how_many_there_are() {
    let Some(backbone) = backbone(Precision::Fp32, 2) else { return };
    let pixels = pixels();
    let (first, second) = pixels.split_at(IMAGE_LEN);
    let alone = features(&backbone, first);
    let three = features(&backbone, &[second, first, first].concat());
    assert_eq!(three[2048..4096], alone);
    assert_eq!(three[4096..], alone);
    assert_ne!(three[..2048], alone);
}

#[test]
fn two_threads_that_share_the_weights_compute_the_same_to_the_bit() {
    let Some(backbone) = backbone(Precision::Fp32, 1) else { return };
    let pixels = pixels();
    let image = &pixels[..IMAGE_LEN];
    let handles = [backbone.share(), backbone.share()];
    drop(backbone);
    let [a, b] = std::thread::scope(|scope| {
        handles
            .map(|handle| scope.spawn(move || features(&handle, image)))
            .map(|thread| thread.join().unwrap())
    });
    assert_eq!(a, b);
}

#[test]
fn slices_of_other_lengths_are_an_error() {
    let Some(backbone) = backbone(Precision::Fp32, 1) else { return };
    let pixels = pixels();
    let mut features = vec![0.0; 2048];
    let error = backbone.forward(&pixels, &mut features, None).unwrap_err();
    assert!(error.to_string().contains("room for 2048 features"), "{error}");
    assert!(backbone.forward(&pixels[1..IMAGE_LEN], &mut features, None).is_err());
    assert!(OnednnBackbone::new(&state_dict(), Precision::Fp32, 0).is_err());
}

#[test]
fn bf16_rounding_keeps_the_direction_of_the_features() {
    let expected = rounded_features(&state_dict(), &pixels());
    assert_aligned(&expected, &golden_features(), 0.9999);
    let Some(backbone) = backbone(Precision::Bf16, 2) else { return };
    let found = features(&backbone, &pixels());
    assert_aligned(&found, &expected, 0.99999);
    assert_aligned(&found, &golden_features(), 0.9999);
}

/// The features with every rounding that [`Precision`] names, by plain f32 convolutions that run
/// on any CPU.
fn rounded_features(state_dict: &StateDict, pixels: &[f32]) -> Vec<f32> {
    let conv = |x: &Tensor, conv_norm: &ConvNorm| {
        let folded = fold(state_dict, conv_norm).unwrap();
        let [out_channels, in_channels, kernel, stride, padding] = [
            conv_norm.out_channels,
            conv_norm.in_channels,
            conv_norm.kernel,
            conv_norm.stride,
            conv_norm.padding(),
        ]
        .map(|number| number as i64);
        let weight = Tensor::from_slice(&folded.weight);
        let weight = rounded(&weight.view([out_channels, in_channels, kernel, kernel]));
        let bias = rounded(&Tensor::from_slice(&folded.bias));
        x.conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], 1)
    };
    let x = Tensor::from_slice(pixels).view([-1, 224, 224, 3]).permute([0, 3, 1, 2]);
    let x = rounded(&conv(&rounded(&x), &resnet::stem()).relu());
    let mut x = x.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
    for block in resnet::bottlenecks() {
        let [conv1, conv2, conv3] = &block.convs;
        let out = rounded(&conv(&x, conv1).relu());
        let out = rounded(&conv(&out, conv2).relu());
        let residual = block.downsample.map_or_else(|| x.copy(), |down| rounded(&conv(&x, &down)));
        x = rounded(&(conv(&out, conv3) + residual).relu());
    }
    to_vec(&x.mean_dim([2i64, 3].as_slice(), false, Kind::Float)).unwrap()
}

/// To bf16, to nearest even, and back.
fn rounded(x: &Tensor) -> Tensor {
    x.to_kind(Kind::BFloat16).to_kind(Kind::Float)
}
