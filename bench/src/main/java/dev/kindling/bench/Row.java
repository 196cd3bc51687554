package dev.kindling.bench;

import com.fasterxml.jackson.databind.PropertyNamingStrategies.SnakeCaseStrategy;
import com.fasterxml.jackson.databind.annotation.JsonNaming;
import dev.kindling.bench.peer.Peer;
import java.util.function.ToDoubleFunction;
import org.jspecify.annotations.Nullable;

/**
 * One line of the result.
 *
 * @param tokens of the batch, in rows of {@code rowTokens}
 * @param oursMs median time of a step, in milliseconds
 * @param peerMs of the faster peer: in a bf16 row, libtorch's bf16 or fp32
 * @param ratio oursMs / peerMs: below 1, ours is faster
 * @param oursLoss of the first step, before any update
 * @param peerLoss of the same, by the faster peer
 * @param oursPeakMb largest resident size of a process that computes ours alone, in 10⁶ bytes
 * @param peerPeakMb of one that computes the faster peer alone
 * @param gradientOff of ours at the first step, from libtorch's in fp32, as a share of its norm:
 *     says more than the loss does of random weights, but decides nothing
 * @param lossesAgree whether the losses differ by the precision's tolerance at most
 * @param peer the faster peer
 * @param othersCores cores that other processes kept busy meanwhile: far above 0, the times are
 *     noise
 * @param peerBlas what does its products, and its threads
 */
@JsonNaming(SnakeCaseStrategy.class)
record Row(
    String workload,
    Precision precision,
    int threads,
    int rank,
    int tokens,
    int rowTokens,
    double oursMs,
    double peerMs,
    double ratio,
    double oursLoss,
    double peerLoss,
    double oursPeakMb,
    double peerPeakMb,
    double gradientOff,
    boolean lossesAgree,
    String oursBackend,
    String peer,
    double peerFp32Ms,
    @Nullable Double peerBf16Ms,
    double othersCores,
    String peerBlas) {
  /**
   * Puts a row together.
   *
   * @param together times of all sides of the case
   * @param alone gives a side's peak from a process of its own
   */
  static Row of(
      Case setting,
      String backend,
      Precision precision,
      Measurement together,
      ToDoubleFunction<String> alone) {
    Measurement.Timing ours = together.timing(side(backend, precision));
    Measurement.Timing fp32 = together.timing(side(Peer.NAME, Precision.FP32));
    Measurement.Timing peer = fp32;
    Double bf16 = null;
    if (precision == Precision.BF16) {
      Measurement.Timing half = together.timing(side(Peer.NAME, Precision.BF16));
      bf16 = round(half.ms(), 1);
      peer = half.ms() < fp32.ms() ? half : fp32;
    }
    double off = Math.abs(ours.loss() - peer.loss()) / Math.abs(peer.loss());
    return new Row(
        setting.workload().name(),
        precision,
        setting.threads(),
        setting.rank(),
        setting.tokens(),
        setting.workload().length(),
        round(ours.ms(), 1),
        round(peer.ms(), 1),
        round(ours.ms() / peer.ms(), 3),
        ours.loss(),
        peer.loss(),
        round(alone.applyAsDouble(ours.side()), 0),
        round(alone.applyAsDouble(peer.side()), 0),
        ours.gradientOff(),
        off <= precision.tolerance(), // false for NaN
        backend,
        peer.side(),
        round(fp32.ms(), 1),
        bf16,
        round(together.othersCores(), 2),
        together.libraries());
  }

  /** Name of a side. */
  static String side(String backend, Precision precision) {
    return backend + "-" + precision.label();
  }

  private static double round(double value, int digits) {
    double unit = Math.pow(10, digits);
    return Math.rint(value * unit) / unit;
  }
}
