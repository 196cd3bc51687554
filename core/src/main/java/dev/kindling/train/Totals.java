package dev.kindling.train;

import dev.kindling.model.BatchResult;
import java.nio.ByteBuffer;

/**
 * Mutable: exact sums over micro-batches, the same in any order. The loss is kept with 24 bits
 * behind the point: to 3e-8 for each micro-batch, up to 5e11 in sum.
 */
public final class Totals {
  /** Bytes that {@link #encode} writes. */
  public static final int ENCODED_BYTES = 57;

  private static final double LOSS_SCALE = 0x1p24;

  /** Of a micro-batch; what is above is as good as infinite. */
  private static final double LARGEST_LOSS = 0x1p31;

  private long loss;
  private long examples;
  private long targets;
  private long correct;
  private long tokens;
  private long cells;
  private long ledger;
  private boolean finite = true;

  /** Adds a micro-batch. */
  public void add(BatchResult result) {
    finite &= Math.abs(result.loss()) < LARGEST_LOSS; // false for NaN too
    loss += Math.round(result.loss() * LOSS_SCALE);
    examples += result.examples();
    targets += result.targets();
    correct += result.correct();
    tokens += result.tokens();
    cells += result.cells();
    ledger += result.ledger();
  }

  /** Adds another part of the same whole. */
  public void add(Totals other) {
    finite &= other.finite;
    loss += other.loss;
    examples += other.examples;
    targets += other.targets;
    correct += other.correct;
    tokens += other.tokens;
    cells += other.cells;
    ledger += other.ledger;
  }

  /** Whether no loss was NaN or infinite. */
  public boolean finite() {
    return finite;
  }

  /** Rows, those without a target included. */
  public long examples() {
    return examples;
  }

  /** Labels that count. */
  public long targets() {
    return targets;
  }

  /** Tokens that are not padding. */
  public long tokens() {
    return tokens;
  }

  /** Tokens that were computed, padding included. */
  public long cells() {
    return cells;
  }

  /** {@link dev.kindling.data.Ledger} of the examples. */
  public long ledger() {
    return ledger;
  }

  /** Mean loss over the targets in nats; NaN without targets. */
  public double meanLoss() {
    return finite ? loss / LOSS_SCALE / targets : Double.NaN;
  }

  /** Share of targets whose class had the largest logit; NaN without targets. */
  public double accuracy() {
    return (double) correct / targets;
  }

  /** Appends these sums to a frame. */
  public void encode(ByteBuffer frame) {
    frame.putLong(loss).putLong(examples).putLong(targets).putLong(correct).putLong(tokens);
    frame.putLong(cells).putLong(ledger);
    frame.put((byte) (finite ? 1 : 0));
  }

  /** Reads sums that {@link #encode} wrote. */
  public static Totals decode(ByteBuffer frame) {
    Totals totals = new Totals();
    totals.loss = frame.getLong();
    totals.examples = frame.getLong();
    totals.targets = frame.getLong();
    totals.correct = frame.getLong();
    totals.tokens = frame.getLong();
    totals.cells = frame.getLong();
    totals.ledger = frame.getLong();
    totals.finite = frame.get() == 1;
    return totals;
  }
}
