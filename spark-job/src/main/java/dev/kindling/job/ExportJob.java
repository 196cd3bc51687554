package dev.kindling.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.kindling.export.Notes;
import dev.kindling.export.PeftWriter;
import dev.kindling.job.config.ConfigProblems;
import dev.kindling.job.config.JobConfig;
import dev.kindling.job.config.JobConfig.Target;
import dev.kindling.lora.Prefix;
import java.util.List;
import java.util.Optional;
import org.apache.hadoop.conf.Configuration;

/** Cuts the adapter of a lower rank out of one whose prefixes are adapters. */
public final class ExportJob {
  private ExportJob() {}

  /** Exports; returns the object for stdout. */
  public static ObjectNode run(Configuration hadoop, JobConfig config) {
    Target target = config.target().orElseThrow();
    AdapterOnBase opened = AdapterOnBase.open(config, hadoop);
    int most = opened.layout().settings().r();
    int rank = target.rank().orElse(most);
    if (rank > most || (rank < most && !opened.sources().nested())) {
      throw new ConfigProblems(
          List.of(
              rank > most
                  ? "rank is " + rank + ", and the adapter's is " + most
                  : "rank is "
                      + rank
                      + ": the adapter is one only at its own rank, "
                      + most
                      + "; train with method = dylora for one whose every rank is"));
    }
    Prefix prefix = Prefix.of(opened.layout(), rank);
    NewFolder.write(
        target.to(),
        hadoop,
        files ->
            PeftWriter.write(
                files,
                opened.plan().linears(),
                prefix.narrow(),
                prefix.take(opened.trainables()),
                new PeftWriter.Base(
                    config.base().path(),
                    opened.plan().predictsTokens(),
                    opened.plan().storesTransposed()),
                new Notes(
                    Optional.of(opened.labels()),
                    opened.sources().nested(),
                    opened.sources().codes())));
    ObjectNode result = new ObjectMapper().createObjectNode();
    result.put("to", target.to());
    result.put("rank", rank);
    result.put("parameters", prefix.narrow().learnedElements());
    System.err.printf("exported: rank %d of %d, in %s%n", rank, most, target.to());
    return result;
  }
}
