/**
 * Published weights on disk: Hugging Face folders, safetensors files and their shards, ONNX
 * exports.
 *
 * <p>A safetensors file is an unsigned 64-bit little-endian header length, that many bytes of JSON
 * {@code {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {…}}}, and the
 * elements, row-major and little-endian, at offsets counted from the end of the header. Everything
 * is checked before a byte of it is used.
 */
@NullMarked
package dev.kindling.checkpoint;

import org.jspecify.annotations.NullMarked;
