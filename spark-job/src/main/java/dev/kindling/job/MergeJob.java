package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.job.config.JobConfig;
import dev.kindling.lora.AdapterLayout;
import dev.kindling.lora.AdapterSettings;
import dev.kindling.lora.BaseChange.Adapter;
import dev.kindling.lora.TargetModules;
import dev.kindling.tensor.Storage;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/** Merges an adapter into its base: a Hugging Face folder that needs no PEFT. */
public final class MergeJob {
  private MergeJob() {}

  /** Merges; returns the object for stdout. */
  public static ObjectNode run(Configuration hadoop, JobConfig config) {
    String to = config.target().orElseThrow().to();
    AdapterOnBase opened = AdapterOnBase.open(config, hadoop);
    opened.sources().codes().ifPresent(MergeJob::tellOfCodes);
    AdapterSettings none = new AdapterSettings(1, 1, 0, new TargetModules.None(), List.of());
    Adapter nothing = new Adapter(AdapterLayout.of(List.of(), none), new float[0]);
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("to", to);
    Adapter all = new Adapter(opened.layout(), opened.trainables());
    new ChangedBase(opened, all, nothing, opened.labels())
        .write(new ChangedBase.Place("to", to, hadoop), config, result, () -> {});
    return result;
  }

  private static void tellOfCodes(Storage learned) {
    System.err.printf(
        "merged into the base as it is stored: beside base.storage = %s, where the adapter has"
            + " learned, its loss was another one, by the error of these codes%n",
        learned.spelled());
  }
}
