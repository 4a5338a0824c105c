/*
 * Licensed under the Apache License, Version 2.0 (the "License"); you may
 * not use this file except in compliance with the License. You may obtain
 * a copy of the License at
 *
 *      http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
 * WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
 * License for the specific language governing permissions and limitations
 * under the License.
 */

/*
 * Reads a NOVA_ARM_BASELINE from each line of standard input with the shim's
 * own reader, and prints what it has understood, or why it refuses:
 *
 *   + NAME id=value,... midr/revidr/aidr,... HAS_IMP_ID HAS_BMAP_2
 *   - REASON
 */

#include "../../shim/nova_arm_baseline.c"

int main(void) {
    static char line[70000];
    static struct baseline read;

    while (fgets(line, sizeof(line), stdin)) {
        const char *wrong;

        line[strcspn(line, "\n")] = '\0';
        /* Of the exact size, so that a sanitizer sees a read beyond it. */
        char *text = strdup(line);
        wrong = read_baseline(text, &read);
        free(text);
        if (wrong) {
            printf("- %s\n", wrong);
            continue;
        }
        printf("+ %s ", read.name);
        for (unsigned i = 0; i < read.n_registers; i++)
            printf("%s%llx=%llx", i ? "," : "",
                   (unsigned long long)read.registers[i].id,
                   (unsigned long long)read.registers[i].value);
        printf(" ");
        for (unsigned i = 0; i < read.n_targets; i++)
            printf("%s%llx/%llx/%llx", i ? "," : "",
                   (unsigned long long)read.targets[i][0],
                   (unsigned long long)read.targets[i][1],
                   (unsigned long long)read.targets[i][2]);
        printf(" %d %d\n", read.has_imp_id, read.has_bmap_2);
    }
    return 0;
}
