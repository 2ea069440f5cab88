// The packed weight formats (drawn in cpu/formats/packed.h) as kernels see them: where a unit has its
// scales, and how the bits of its lines become words of four codes.
//
// A format is a head of scales and a way to write codes:
//
//   weight = scale * (code - kBias) + offset
//
//   kHeadBytes, kUnitBlocks         of the head's share of a unit; blocks of 32 columns in a unit
//   scale(unit, b, part, row)       of kLanes rows from `row` on; a block has kParts parts that each
//                                   have a scale of their own: 1, or 2 halves of 16 columns
//   offset(unit, b, part, row)      where kHasOffset
//
//   kAreSigned, kMaxCode            int8, else from 0 on
//   kBlockBytes, kSteps             of the lines of a block; steps in a part
//   codes(block, part, step, row, first, second)    the words of the quads 4 * part + step and
//                                   4 * part + step + kSteps
//
// `b`, `part` and `step` are constants where these functions are used, once loops are unrolled.
#pragma once

#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

AC_INLINE F32 load_half(const uint8_t* p, size_t row) {
  return load_f16(reinterpret_cast<const uint16_t*>(p) + row);
}
AC_INLINE F32 load_signed(const uint8_t* p, size_t row) {
  return load_i8(reinterpret_cast<const int8_t*>(p) + row);
}

// --- heads ---------------------------------------------------------------------------------------

// d of each block: Q8_0, Q4_0, Q5_0.
struct HeadOf32 {
  static constexpr size_t kHeadBytes = 64;
  static constexpr size_t kUnitBlocks = 2;
  static constexpr bool kHasOffset = false;
  AC_INLINE static F32 scale(const uint8_t* unit, size_t b, size_t, size_t row) {
    return load_half(unit + 32 * b, row);
  }
  AC_INLINE static F32 offset(const uint8_t*, size_t, size_t, size_t) { return zero(); }
};

// d and m of each block: Q4_1, Q5_1.
struct HeadOf32WithOffset {
  static constexpr size_t kHeadBytes = 128;
  static constexpr size_t kUnitBlocks = 2;
  static constexpr bool kHasOffset = true;
  AC_INLINE static F32 scale(const uint8_t* unit, size_t b, size_t, size_t row) {
    return load_half(unit + 32 * b, row);
  }
  AC_INLINE static F32 offset(const uint8_t* unit, size_t b, size_t, size_t row) {
    return load_half(unit + 64 + 32 * b, row);
  }
};

// d and -d_min of the unit, six bits of scale and of minimum for each block: Q4_K, Q5_K.
struct HeadOfK {
  static constexpr size_t kHeadBytes = 64 + 2 * 128;
  static constexpr size_t kUnitBlocks = 8;
  static constexpr bool kHasOffset = true;
  AC_INLINE static F32 scale(const uint8_t* unit, size_t b, size_t, size_t row) {
    return mul(load_half(unit, row), load_signed(unit + 64 + 16 * b, row));
  }
  AC_INLINE static F32 offset(const uint8_t* unit, size_t b, size_t, size_t row) {
    return mul(load_half(unit + 32, row), load_signed(unit + 192 + 16 * b, row));
  }
};

// d of the unit, an int8 for each 16 columns: Q6_K, Q3_K.
struct HeadOfK16 {
  static constexpr size_t kHeadBytes = 64 + 256;
  static constexpr size_t kUnitBlocks = 8;
  static constexpr bool kHasOffset = false;
  AC_INLINE static F32 scale(const uint8_t* unit, size_t b, size_t part, size_t row) {
    return mul(load_half(unit, row), load_signed(unit + 64 + 16 * (2 * b + part), row));
  }
  AC_INLINE static F32 offset(const uint8_t*, size_t, size_t, size_t) { return zero(); }
};

// d and -d_min of the unit, four bits of scale and of minimum for each 16 columns: Q2_K.
struct HeadOfK16WithOffset {
  static constexpr size_t kHeadBytes = 64 + 256;
  static constexpr size_t kUnitBlocks = 8;
  static constexpr bool kHasOffset = true;
  AC_INLINE static Words both(const uint8_t* unit, size_t b, size_t part, size_t row) {
    return load_bytes_wide(unit + 64 + 16 * (2 * b + part) + row);
  }
  AC_INLINE static F32 scale(const uint8_t* unit, size_t b, size_t part, size_t row) {
    return mul(load_half(unit, row), words_to_f32(words_and(both(unit, b, part, row), 15)));
  }
  AC_INLINE static F32 offset(const uint8_t* unit, size_t b, size_t part, size_t row) {
    return mul(load_half(unit + 32, row), words_to_f32(words_right(both(unit, b, part, row), 4)));
  }
};

// --- codes ---------------------------------------------------------------------------------------

// int8.
struct Codes8 {
  static constexpr bool kAreSigned = true;
  static constexpr int32_t kMaxCode = 127;
  static constexpr size_t kBlockBytes = 8 * 64;
  static constexpr size_t kParts = 1;
  static constexpr size_t kSteps = 4;
  AC_INLINE static void codes(const uint8_t* block, size_t, size_t step, size_t row, Words& first,
                              Words& second) {
    first = load_words(block + 64 * step + 4 * row);
    second = load_words(block + 64 * (step + 4) + 4 * row);
  }
};

struct Codes4 {
  static constexpr bool kAreSigned = false;
  static constexpr int32_t kMaxCode = 15;
  static constexpr size_t kBlockBytes = 4 * 64;
  static constexpr size_t kParts = 1;
  static constexpr size_t kSteps = 4;
  AC_INLINE static void codes(const uint8_t* block, size_t, size_t step, size_t row, Words& first,
                              Words& second) {
    const Words both = load_words(block + 64 * step + 4 * row);
    first = words_and(both, 0x0f0f0f0f);
    second = words_and(words_right(both, 4), 0x0f0f0f0f);
  }
};

struct Codes5 {
  static constexpr bool kAreSigned = false;
  static constexpr int32_t kMaxCode = 31;
  static constexpr size_t kBlockBytes = 5 * 64;
  static constexpr size_t kParts = 1;
  static constexpr size_t kSteps = 4;
  AC_INLINE static void codes(const uint8_t* block, size_t part, size_t step, size_t row,
                              Words& first, Words& second) {
    Codes4::codes(block, part, step, row, first, second);
    const auto shift = static_cast<uint32_t>(step);
    const Words fifths = load_words(block + 256 + 4 * row);
    first = words_or(first, words_and(words_left(fifths, 4 - shift), 0x10101010));
    second = words_or(second, words_and(words_right(fifths, shift), 0x10101010));
  }
};

struct Codes6 {
  static constexpr bool kAreSigned = false;
  static constexpr int32_t kMaxCode = 63;
  static constexpr size_t kBlockBytes = 6 * 64;
  static constexpr size_t kParts = 2;
  static constexpr size_t kSteps = 2;
  AC_INLINE static void codes(const uint8_t* block, size_t part, size_t step, size_t row,
                              Words& first, Words& second) {
    const uint8_t* lines = block + 192 * part + 4 * row;
    const auto shift = static_cast<uint32_t>(2 * step);
    const Words both = load_words(lines + 64 * step);
    const Words pairs = load_words(lines + 128);
    first = words_or(words_and(both, 0x0f0f0f0f), words_and(words_left(pairs, 4 - shift), 0x30303030));
    second = words_or(words_and(words_right(both, 4), 0x0f0f0f0f),
                      words_and(words_right(pairs, shift), 0x30303030));
  }
};

struct Codes2 {
  static constexpr bool kAreSigned = false;
  static constexpr int32_t kMaxCode = 3;
  static constexpr size_t kBlockBytes = 2 * 64;
  static constexpr size_t kParts = 2;
  static constexpr size_t kSteps = 2;
  AC_INLINE static void codes(const uint8_t* block, size_t part, size_t step, size_t row,
                              Words& first, Words& second) {
    const Words pairs = load_words(block + 64 * part + 4 * row);
    const auto shift = static_cast<uint32_t>(2 * step);
    first = words_and(words_right(pairs, shift), 0x03030303);
    second = words_and(words_right(pairs, shift + 4), 0x03030303);
  }
};

struct Codes3 {
  static constexpr bool kAreSigned = false;
  static constexpr int32_t kMaxCode = 7;
  static constexpr size_t kBlockBytes = 3 * 64;
  static constexpr size_t kParts = 2;
  static constexpr size_t kSteps = 2;
  AC_INLINE static void codes(const uint8_t* block, size_t part, size_t step, size_t row,
                              Words& first, Words& second) {
    Codes2::codes(block, part, step, row, first, second);
    // Bit 4 * part + step, of the first quad, to bit 2.
    const auto p = static_cast<uint32_t>(part);
    const Words line = words_left(load_words(block + 128 + 4 * row), 2 - 2 * p);
    const Words thirds = words_right(line, static_cast<uint32_t>(step) + 2 * p);
    first = words_or(first, words_and(thirds, 0x04040404));
    second = words_or(second, words_and(words_right(thirds, 2), 0x04040404));
  }
};

// --- formats -------------------------------------------------------------------------------------

template <class Head, class Codes, int32_t kTheBias>
struct Format : Head, Codes {
  static constexpr int32_t kBias = kTheBias;
  static constexpr size_t kUnitColumns = 32 * Head::kUnitBlocks;
  static constexpr size_t kUnitBytes = Head::kHeadBytes + Head::kUnitBlocks * Codes::kBlockBytes;
};

using FormatQ8_0 = Format<HeadOf32, Codes8, 0>;
using FormatQ4_0 = Format<HeadOf32, Codes4, 8>;
using FormatQ4_1 = Format<HeadOf32WithOffset, Codes4, 0>;
using FormatQ5_0 = Format<HeadOf32, Codes5, 16>;
using FormatQ5_1 = Format<HeadOf32WithOffset, Codes5, 0>;
using FormatQ2_K = Format<HeadOfK16WithOffset, Codes2, 0>;
using FormatQ3_K = Format<HeadOfK16, Codes3, 4>;
using FormatQ4_K = Format<HeadOfK, Codes4, 0>;
using FormatQ5_K = Format<HeadOfK, Codes5, 0>;
using FormatQ6_K = Format<HeadOfK16, Codes6, 32>;

}  // namespace
}  // namespace ac::cpu::AC_ISA
