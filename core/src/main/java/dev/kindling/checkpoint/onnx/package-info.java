/**
 * ONNX files as PyTorch exports them, read for their weights only: the graph is not run.
 *
 * <p>An ONNX file is one protobuf message, {@code ModelProto}; the weights are the initialisers of
 * its graph. The message classes are those that ND4J ships for its own import.
 */
@NullMarked
package dev.kindling.checkpoint.onnx;

import org.jspecify.annotations.NullMarked;
