package dev.kindling.job.ingest;

import dev.kindling.data.Example;
import dev.kindling.data.Grouping;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/**
 * Who computes what of a step: each lane is a task's.
 *
 * @param count lanes of a step, at least 1
 * @param shares whether a lane is a share of the examples, by their place in the batch, and not
 *     just some of the micro-batches
 * @param together steps of which a lane lies in one partition, from a multiple of it on, at least 1
 */
public record Lanes(int count, boolean shares, int together) implements Serializable {
  /** Micro-batches go to whoever has least to do. */
  public static Lanes balanced(int slots, int batch, Grouping grouping) {
    int parts = (batch + grouping.rows() - 1) / grouping.rows();
    return new Lanes(Math.max(1, Math.min(slots, parts)), false, 1);
  }

  /**
   * Each worker has a near-equal share of every batch, and so many steps of its own.
   *
   * @param workers at most the positions of a batch
   */
  public static Lanes shares(int workers, int steps) {
    return new Lanes(workers, true, steps);
  }

  /** A micro-batch and its lane. */
  record Dealt(List<List<Example>> rows, int lane) {}

  /**
   * Cuts a step's examples into micro-batches and deals them out.
   *
   * @param batch positions of a step
   */
  List<Dealt> deal(List<Example> examples, int batch, Grouping grouping) {
    List<Dealt> dealt = new ArrayList<>();
    if (!shares) {
      List<List<List<Example>>> cut = grouping.cut(examples);
      int[] lanes = Grouping.deal(cut, count);
      for (int i = 0; i < lanes.length; i++) {
        dealt.add(new Dealt(cut.get(i), lanes[i]));
      }
      return dealt;
    }
    for (int lane = 0; lane < count; lane++) {
      List<Example> share = new ArrayList<>();
      for (Example example : examples) {
        if (example.position() % batch * count / batch == lane) {
          share.add(example);
        }
      }
      for (List<List<Example>> rows : grouping.cut(share)) {
        dealt.add(new Dealt(rows, lane));
      }
    }
    return dealt;
  }
}
