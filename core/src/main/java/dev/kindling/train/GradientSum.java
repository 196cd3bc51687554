package dev.kindling.train;

import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.Parameter;
import dev.kindling.model.BatchResult;
import dev.kindling.tensor.StoredType;
import java.nio.ByteBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Mutable: the exact sum of micro-batch gradients and losses, the same bits in any order of {@link
 * #add} and {@link #merge} (scheme and error bound: package documentation).
 */
public final class GradientSum {
  /** Where M comes to lie after a step: bit 43. */
  private static final int TARGET_BIT = 43;

  /** Sums stay below 2^62. */
  private static final int LIMIT_BIT = 62;

  /** M must have at least 24 bits, a float's precision. */
  private static final int LEAST_BIT = 24;

  /** Elements that are worth several threads: some milliseconds of one. */
  private static final int MANY = 1 << 21;

  /** Elements of a frame that are read at a time: within a core's cache. */
  private static final int SOME = 1 << 12;

  private final List<Parameter> parameters;
  private final int[] exponents;
  private final long parts;
  private final long[] sums;
  private final float[] largest;
  private final Totals totals = new Totals();
  private boolean finite = true;

  /**
   * @param exponents e for each parameter of the layout
   * @param parts micro-batches of the whole step, whoever computes them
   */
  public GradientSum(AdapterLayout layout, int[] exponents, long parts) {
    this.parameters = layout.parameters();
    this.exponents = exponents.clone();
    this.parts = parts;
    this.sums = new long[layout.elements()];
    this.largest = new float[parameters.size()];
  }

  /** e before anything is known: puts gradients of size 1 at bit 36. */
  public static int[] firstExponents(AdapterLayout layout) {
    int[] exponents = new int[layout.parameters().size()];
    Arrays.fill(exponents, 36);
    return exponents;
  }

  /** Adds a micro-batch: its gradient is left unread where it cannot fit. */
  public void add(float[] gradient, BatchResult result) {
    add(gradient);
    totals.add(result);
  }

  /** Parameters by number; many elements on whatever threads are free, for each is by itself. */
  private IntStream each(int count) {
    IntStream numbers = IntStream.range(0, count);
    return sums.length < MANY ? numbers : numbers.parallel();
  }

  private void add(float[] gradient) {
    each(parameters.size()).forEach(p -> add(gradient, p));
    for (float max : largest) {
      finite &= max <= Float.MAX_VALUE; // false for NaN too
    }
  }

  private void add(float[] gradient, int p) {
    Parameter parameter = parameters.get(p);
    int from = parameter.offset();
    int to = from + parameter.elements();
    float max = largest(gradient, from, to);
    largest[p] = Math.max(largest[p], max);
    if (max <= ceiling(exponents[p])) {
      double scale = Math.scalb(1.0, exponents[p]);
      for (int i = from; i < to; i++) {
        sums[i] += (long) Math.rint(gradient[i] * scale);
      }
    }
  }

  /** NaN if there is one. */
  private static float largest(float[] gradient, int from, int to) {
    float max = 0;
    for (int i = from; i < to; i++) {
      max = Math.max(max, Math.abs(gradient[i]));
    }
    return max;
  }

  /** Largest |g| of which {@code parts} can be added without overflow. */
  private float ceiling(int exponent) {
    return (float) (Math.scalb(1.0, LIMIT_BIT - 1 - exponent) / parts);
  }

  /** Adds another part of the same step. */
  public void merge(GradientSum other) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] += other.sums[i];
    }
    for (int p = 0; p < largest.length; p++) {
      largest[p] = Math.max(largest[p], other.largest[p]);
    }
    finite &= other.finite;
    totals.add(other.totals);
  }

  /** Whether no gradient or loss was NaN or infinite. */
  public boolean finite() {
    return finite && totals.finite();
  }

  /** Whether every tensor's M lies between precision and overflow, once all parts are in. */
  public boolean fits() {
    for (int p = 0; p < largest.length; p++) {
      float max = largest[p];
      boolean coarse = max > 0 && Math.getExponent(max) + exponents[p] < LEAST_BIT;
      if (coarse || max > ceiling(exponents[p])) {
        return false;
      }
    }
    return true;
  }

  /** e that puts this step's M at bit 43, or as high as the number of parts allows. */
  public int[] nextExponents() {
    int bit = Math.min(TARGET_BIT, LIMIT_BIT - 3 - (64 - Long.numberOfLeadingZeros(parts)));
    int[] next = exponents.clone();
    for (int p = 0; p < next.length; p++) {
      if (largest[p] > 0) {
        next[p] = bit - Math.getExponent(largest[p]);
      }
    }
    return next;
  }

  /** Writes Σ gradient / targets. */
  public void meanGradient(float[] into) {
    each(parameters.size()).forEach(p -> mean(p, into));
  }

  private void mean(int p, float[] into) {
    Parameter parameter = parameters.get(p);
    double scale = Math.scalb(1.0, -exponents[p]) / totals.targets();
    for (int i = parameter.offset(); i < parameter.offset() + parameter.elements(); i++) {
      into[i] = (float) (sums[i] * scale);
    }
  }

  /** Sums over all micro-batches added so far. */
  public Totals totals() {
    return totals;
  }

  /** Of the gradients that it adds. */
  public int elements() {
    return sums.length;
  }

  /**
   * Bytes that travel for this sum. Of parameters whose gradients are all zero nothing does: those
   * of halves that do not learn, and of every A in the first step, when B is zero.
   */
  public int encodedBytes() {
    return headBytes() + Long.BYTES * elements(moving(largest));
  }

  /** The most that it can be. */
  public int mostBytes() {
    return headBytes() + Long.BYTES * sums.length;
  }

  /** Parameters with a gradient; what is not finite is one. */
  private List<Parameter> moving(float[] most) {
    return IntStream.range(0, most.length)
        .filter(p -> most[p] != 0)
        .mapToObj(parameters::get)
        .toList();
  }

  private static int elements(List<Parameter> some) {
    return some.stream().mapToInt(Parameter::elements).sum();
  }

  private int headBytes() {
    return Totals.ENCODED_BYTES + 1 + Float.BYTES * largest.length;
  }

  /** A frame that {@link #merge(ByteBuffer)} reads. */
  public byte[] encode() {
    ByteBuffer frame = ByteBuffer.allocate(encodedBytes());
    encode(frame);
    return frame.array();
  }

  /** Appends {@link #encodedBytes} to a frame. */
  public void encode(ByteBuffer frame) {
    encodeHead(frame);
    for (Parameter p : moving(largest)) {
      frame.asLongBuffer().put(sums, p.offset(), p.elements());
      frame.position(frame.position() + Long.BYTES * p.elements());
    }
  }

  private void encodeHead(ByteBuffer frame) {
    totals.encode(frame);
    frame.put((byte) (finite ? 1 : 0));
    for (float max : largest) {
      frame.putFloat(max);
    }
  }

  /** Bytes of so many micro-batches themselves instead of their sum. */
  int encodedBytes(int gradients) {
    return headBytes() + Short.BYTES * elements(moving(largest)) * gradients;
  }

  /** Appends those to a frame. */
  void encode(ByteBuffer frame, List<short[]> gradients) {
    encodeHead(frame);
    List<Parameter> moving = moving(largest);
    for (short[] gradient : gradients) {
      for (Parameter p : moving) {
        frame.asShortBuffer().put(gradient, p.offset(), p.elements());
        frame.position(frame.position() + Short.BYTES * p.elements());
      }
    }
  }

  /** Adds an encoded part of the same step: its sum, or its micro-batches in bf16. */
  public void merge(ByteBuffer frame) {
    int bytes = frame.remaining();
    if (bytes < headBytes()) {
      throw notOfThisStep(bytes);
    }
    Totals theirs = Totals.decode(frame);
    boolean theirsFinite = frame.get() == 1;
    float[] most = new float[largest.length];
    for (int p = 0; p < most.length; p++) {
      most[p] = frame.getFloat();
    }
    List<Parameter> moving = moving(most);
    int moved = elements(moving);
    int body = frame.remaining();
    int each = Short.BYTES * moved;
    boolean summed = body == Long.BYTES * moved;
    if (!summed && (body == 0 || body >= RoundedPart.FEWER_THAN * each || body % each != 0)) {
      throw notOfThisStep(bytes);
    }
    totals.add(theirs);
    finite &= theirsFinite;
    for (int p = 0; p < most.length; p++) {
      largest[p] = Math.max(largest[p], most[p]);
    }
    if (summed) {
      int[] starts = starts(moving, frame.position());
      each(moving.size())
          .forEach(
              k -> {
                ByteBuffer part = frame.slice(starts[k], starts[k + 1] - starts[k]);
                merge(moving.get(k), part.order(frame.order()).asLongBuffer());
              });
      return;
    }
    float[] gradient = new float[sums.length];
    for (int k = 0; k < body / each; k++) {
      for (Parameter p : moving) {
        for (int i = p.offset(); i < p.offset() + p.elements(); i++) {
          gradient[i] = StoredType.BF16.widen(frame.getShort());
        }
      }
      add(gradient);
    }
  }

  /** Where in a frame the sums of each begin, and the last one's end. */
  private static int[] starts(List<Parameter> moving, int first) {
    int[] starts = new int[moving.size() + 1];
    starts[0] = first;
    for (int k = 0; k < moving.size(); k++) {
      starts[k + 1] = starts[k] + Long.BYTES * moving.get(k).elements();
    }
    return starts;
  }

  /** Some at a time: one by one they take 5.6 ns each instead of 2.9 (bench, HostVectors). */
  private void merge(Parameter p, LongBuffer theirs) {
    long[] some = new long[Math.min(SOME, p.elements())];
    for (int at = p.offset(); theirs.hasRemaining(); ) {
      int count = Math.min(some.length, theirs.remaining());
      theirs.get(some, 0, count);
      for (int i = 0; i < count; i++) {
        sums[at + i] += some[i];
      }
      at += count;
    }
  }

  private IllegalArgumentException notOfThisStep(int bytes) {
    return new IllegalArgumentException(
        "a frame of " + bytes + " bytes is not of this step: expected " + mostBytes());
  }
}
