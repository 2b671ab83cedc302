// Products of bf16 numbers by the CPU's tiles. Compiled for CPUs with AMX: see build.rs.

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amx_product.h"

namespace {

// A row of a tile is a cache line.
constexpr uint16_t kRowBytes = 64;

// What LDTILECFG takes.
struct alignas(64) Config {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t num_rows[16] = {};
};

// The tiles of this thread while it lives: 0 to 3 hold sums, 4 and 5 rows, 6 and 7 weights.
class Tiles {
 public:
  explicit Tiles(size_t num_rows) {
    Config config;
    for (size_t tile = 0; tile < 8; ++tile) {
      config.row_bytes[tile] = kRowBytes;
      config.num_rows[tile] = static_cast<uint8_t>(tile < 6 ? num_rows : kPairs);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  Tiles(const Tiles&) = delete;
  ~Tiles() { __asm__ volatile("tilerelease"); }

  template <int kTile>
  static void clear() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(kTile));
  }

  // `stride` in pairs.
  template <int kTile>
  static void load(const uint32_t* pairs, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,4), %%tmm%c2" : : "r"(pairs), "r"(stride), "i"(kTile) : "memory");
  }

  template <int kTile>
  static void store(float* values, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,4)"
                     :
                     : "r"(values), "r"(stride), "i"(kTile)
                     : "memory");
  }

  template <int kSums, int kLeft, int kRight>
  static void multiply_add() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0"
                     :
                     : "i"(kSums), "i"(kLeft), "i"(kRight));
  }

  // How the sums of a panel end.
  class Epilogue {
   public:
    Epilogue(const Product& product, size_t panel) : add_(product.add), relu_(product.relu) {
      const float* bias = product.bias ? product.bias + panel * kOutputs : nullptr;
      bias_[0] = bias ? _mm512_loadu_ps(bias) : _mm512_setzero_ps();
      bias_[1] = bias ? _mm512_loadu_ps(bias + 16) : _mm512_setzero_ps();
    }

    // Writes [32] sums as pairs.
    void finish(const float* sums, uint32_t* out) const {
      __m512 first = _mm512_add_ps(_mm512_load_ps(sums), bias_[0]);
      __m512 second = _mm512_add_ps(_mm512_load_ps(sums + 16), bias_[1]);
      if (add_) {
        const __m512i before = _mm512_loadu_si512(out);
        first = _mm512_add_ps(first, widen(_mm512_castsi512_si256(before)));
        second = _mm512_add_ps(second, widen(_mm512_extracti64x4_epi64(before, 1)));
      }
      if (relu_) {
        first = _mm512_max_ps(first, _mm512_setzero_ps());
        second = _mm512_max_ps(second, _mm512_setzero_ps());
      }
      _mm512_storeu_si512(out, (__m512i)_mm512_cvtne2ps_pbh(second, first));
    }

   private:
    // 16 numbers as f32.
    static __m512 widen(__m256i numbers) {
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(numbers), 16));
    }

    __m512 bias_[2];
    bool add_;
    bool relu_;
  };
};

// As in the kernel's <asm/prctl.h> and <asm/fpu/types.h>.
constexpr int kRequestPermission = 0x1023;
constexpr int kTileData = 18;

}  // namespace

extern "C" {

// Whether the kernel lets this process use tiles, which it does not without being asked.
bool ec2train_amx_request() { return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0; }

void ec2train_amx_multiply(const Product* product) { multiply<Tiles>(*product); }

}  // extern "C"
