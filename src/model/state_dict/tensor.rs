//! A tensor's bytes with their shape and element type.

/// Element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit float, IEEE 754 binary16.
    F16,
    /// 16-bit float with the exponent of a 32-bit one.
    Bf16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// 16-bit signed integer.
    I16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

impl Dtype {
    /// Every element type, the most exact float first.
    pub const ALL: [Dtype; 10] = [
        Dtype::F64,
        Dtype::F32,
        Dtype::F16,
        Dtype::Bf16,
        Dtype::I64,
        Dtype::I32,
        Dtype::I16,
        Dtype::I8,
        Dtype::U8,
        Dtype::Bool,
    ];

    /// Bytes per element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Dtype::F64 | Dtype::I64 => 8,
            Dtype::F32 | Dtype::I32 => 4,
            Dtype::F16 | Dtype::Bf16 | Dtype::I16 => 2,
            Dtype::I8 | Dtype::U8 | Dtype::Bool => 1,
        }
    }

    /// PyTorch's name, as in `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Dtype::F64 => "float64",
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
            Dtype::I64 => "int64",
            Dtype::I32 => "int32",
            Dtype::I16 => "int16",
            Dtype::I8 => "int8",
            Dtype::U8 => "uint8",
            Dtype::Bool => "bool",
        }
    }

    /// Whether elements are floating-point numbers.
    pub const fn is_float(self) -> bool {
        matches!(self, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::Bf16)
    }
}

/// A tensor in memory: row-major, contiguous, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorData {
    /// Element type.
    pub dtype: Dtype,
    /// Size of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// `num_elements() * dtype.size_bytes()` bytes.
    pub bytes: Vec<u8>,
}

impl TensorData {
    /// A float32 tensor of `shape` from its elements in row-major order.
    ///
    /// # Panics
    /// When `values` does not have as many elements as `shape` asks for.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?}");
        let mut bytes = vec![0; values.len() * 4];
        for (slot, value) in bytes.chunks_exact_mut(4).zip(values) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        TensorData { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// A zero-dimensional int64 tensor, the form of batch norm's `num_batches_tracked`.
    pub fn scalar_i64(value: i64) -> Self {
        TensorData { dtype: Dtype::I64, shape: Vec::new(), bytes: value.to_le_bytes().to_vec() }
    }

    /// Number of elements: the product of the shape, 1 for a scalar.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The elements as float32, rounded to nearest where the type is wider.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.bytes.len() / self.dtype.size_bytes()];
        self.read_f32(0, &mut values);
        values
    }

    /// Overwrites `out` by as many elements from `first` on in row-major order, rounded as
    /// [`TensorData::to_f32`] does.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn read_f32(&self, first: usize, out: &mut [f32]) {
        let size = self.dtype.size_bytes();
        let bytes = &self.bytes[first * size..][..out.len() * size];
        match self.dtype {
            Dtype::F64 => convert(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Dtype::F32 => convert(bytes, out, f32::from_le_bytes),
            Dtype::F16 => convert(bytes, out, |b| f16_to_f32(u16::from_le_bytes(b))),
            Dtype::Bf16 => convert(bytes, out, |b| bf16_to_f32(u16::from_le_bytes(b))),
            Dtype::I64 => convert(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Dtype::I32 => convert(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Dtype::I16 => convert(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Dtype::I8 => convert(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Dtype::U8 | Dtype::Bool => convert(bytes, out, |[byte]| f32::from(byte)),
        }
    }
}

/// What a tensor is expected to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name, as in `layer1.0.conv1.weight`.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: Dtype,
}

fn convert<const N: usize>(bytes: &[u8], out: &mut [f32], to_f32: impl Fn([u8; N]) -> f32) {
    for (out, &element) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = to_f32(element);
    }
}

fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits) & 0x3ff;
    match exponent {
        // Zero or subnormal: a multiple of 2^-24, which float32 holds exactly.
        0 => {
            let magnitude = fraction as f32 * 2f32.powi(-24);
            f32::from_bits(sign | magnitude.to_bits())
        }
        // Infinity or NaN.
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        // The biases differ by 127 - 15.
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float16_widens_exactly() {
        // (bits, value) from the definition of binary16.
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 2f32.powi(-14)),
            (0x0001, 2f32.powi(-24)),
            (0x83ff, -1023.0 * 2f32.powi(-24)),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(f16_to_f32(bits), value, "{bits:#06x}");
        }
        assert!(f16_to_f32(0x7e00).is_nan());
        assert!(f16_to_f32(0x8000).is_sign_negative());
    }

    #[test]
    fn every_dtype_converts_one_to_float32() {
        for dtype in Dtype::ALL {
            let bytes = match dtype {
                Dtype::F64 => 1f64.to_le_bytes().to_vec(),
                Dtype::F32 => 1f32.to_le_bytes().to_vec(),
                Dtype::F16 => 0x3c00u16.to_le_bytes().to_vec(),
                Dtype::Bf16 => 0x3f80u16.to_le_bytes().to_vec(),
                _ => 1i64.to_le_bytes()[..dtype.size_bytes()].to_vec(),
            };
            let tensor = TensorData { dtype, shape: vec![], bytes };
            assert_eq!(tensor.to_f32(), [1.0], "{}", dtype.name());
        }
    }

    #[test]
    fn elements_are_read_from_the_first_one_asked_for() {
        let bytes = [1u16, 2, 3, 4].into_iter().flat_map(u16::to_le_bytes).collect();
        let tensor = TensorData { dtype: Dtype::I16, shape: vec![2, 2], bytes };
        let mut out = [0.0; 2];
        tensor.read_f32(1, &mut out);
        assert_eq!(out, [2.0, 3.0]);
    }

    #[test]
    fn from_f32_round_trips() {
        let values = [1.5, -0.0, f32::MIN_POSITIVE, f32::MAX, 1e-45, 3.0];
        let tensor = TensorData::from_f32(&[2, 3], &values);
        assert_eq!(tensor.num_elements(), 6);
        assert_eq!(tensor.to_f32(), values);
    }
}
