# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Write configuration files in the format of oslo.config."""

import collections.abc

Sections = collections.abc.Mapping[str, collections.abc.Mapping[str, object]]


def dump(sections: Sections) -> str:
    """Return a configuration file from which oslo.config reads *sections*.

    :param sections: the values of the options, by section and by name; a list
        is an option that is given several times
    """
    lines = []
    for section, options in sections.items():
        lines.append(f'[{section}]')
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                # "$name" would mean the value of another option.
                lines.append(f'{name} = {str(one).replace("$", "$$")}')
        lines.append('')
    return '\n'.join(lines)
