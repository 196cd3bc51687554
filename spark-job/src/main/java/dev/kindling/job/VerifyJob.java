package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.InvalidInput;
import dev.kindling.data.EpochOrder;
import dev.kindling.data.Ledger;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.ConfigSource;
import dev.kindling.job.report.KeptRun;
import dev.kindling.job.storage.StorageFailed;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/**
 * Proves from what a run has kept that its files are those that it wrote, and that every example
 * was consumed exactly once in each completed epoch, at most once in the last.
 */
public final class VerifyJob {
  private VerifyJob() {}

  /**
   * Returns the object for stdout.
   *
   * @throws InvalidInput naming everything that is not as it should be
   */
  public static ObjectNode run(Configuration hadoop, ConfigSource source) {
    if (!source.user().hasPath("output")) {
      throw new ConfigProblems(
          List.of("verify needs the folder of a result: kindling verify FOLDER"));
    }
    String output = source.user().getString("output");
    try {
      return verify(output, KeptRun.read(output, hadoop));
    } catch (IOException e) {
      throw new StorageFailed("output " + output, e);
    }
  }

  private static ObjectNode verify(String output, KeptRun run) {
    List<String> problems = new ArrayList<>(run.problems());
    long batch = run.batch();
    long steps = run.ledger().size();
    for (int step = 0; step < steps; step++) {
      KeptRun.Entry entry = run.ledger().get(step);
      String expected = Ledger.text(Ledger.of(step * batch, (step + 1) * batch));
      if (entry.step() != step + 1) {
        problems.add("line " + (step + 1) + " of the metrics is of step " + entry.step());
      } else if (!entry.ledger().equals(expected)) {
        problems.add(
            "the gradient of step "
                + entry.step()
                + " contains other examples (ledger "
                + entry.ledger()
                + ", expected "
                + expected
                + ")");
      }
    }
    EpochOrder order = new EpochOrder(run.examples(), run.shuffle(), run.seed());
    long epochs = steps * batch / run.examples();
    for (long epoch = 0; epoch <= epochs; epoch++) {
      requireOnce(order, epoch, steps * batch, problems);
    }
    if (!problems.isEmpty()) {
      throw new InvalidInput(
          "output " + output,
          "is not what its run wrote: " + String.join("; ", problems),
          "expected files as in the manifest, and each example once an epoch: train again");
    }
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("output", output);
    result.put("finished", run.finished());
    result.put("steps", steps);
    result.put("examples", run.examples());
    result.put("epochs", epochs);
    result.put("filesChecked", run.files());
    System.err.printf(
        "verified: %,d steps, %,d examples each once in %,d whole epoch(s)%s, %,d file(s)%n",
        steps,
        run.examples(),
        epochs,
        steps * batch % run.examples() == 0 ? "" : " and at most once in the last",
        run.files());
    return result;
  }

  private static void requireOnce(EpochOrder order, long epoch, long end, List<String> problems) {
    long n = order.examples();
    BitSet seen = new BitSet(Math.toIntExact(n));
    for (long at = epoch * n; at < Math.min(end, (epoch + 1) * n); at++) {
      int example = Math.toIntExact(order.exampleAt(at));
      if (seen.get(example)) {
        problems.add("example " + example + " comes twice in epoch " + epoch);
      }
      seen.set(example);
    }
  }
}
